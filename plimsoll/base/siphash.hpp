#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace plimsoll {

/// SipHash-2-4 with 128 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012): a message
/// authentication code for short texts, a tenth of the work of HMAC-SHA256. Whoever does not know the key cannot make
/// the tag of a text that was not signed, whatever other texts and tags they have seen. Not a digest: it proves nothing
/// to whoever knows the key.
class SipHashKey {
 public:
  using Tag = std::array<char, 16>;

  /// 16 bytes, drawn at random or derived from a secret by a digest.
  explicit SipHashKey(std::string_view key) noexcept;
  /// Of the parts one after the other, as if they were joined: separate them yourself where that matters.
  Tag sign(std::initializer_list<std::string_view> parts) const noexcept;

 private:
  std::uint64_t low_, high_;
};

inline std::string_view as_text(const SipHashKey::Tag& tag) { return {tag.data(), tag.size()}; }

}  // namespace plimsoll
