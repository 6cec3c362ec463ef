#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace plimsoll {

using Digest = std::array<std::uint8_t, 32>;

inline std::string_view as_text(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

struct DigestContextEnd {
  void operator()(evp_md_ctx_st*) const noexcept;
};
using DigestContext = std::unique_ptr<evp_md_ctx_st, DigestContextEnd>;

/// SHA-256 (FIPS 180-4) of `data`. Allocates nothing after a thread's first call.
Digest sha256(std::string_view data);
/// Of the parts one after the other, as if they were joined: separate them yourself where that matters.
Digest sha256(std::initializer_list<std::string_view> parts);

/// SHA-256 of what comes piece by piece.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view data);
  /// The digest of all pieces; the object then begins anew.
  Digest finish();

 private:
  DigestContext context_;
};

/// HMAC-SHA256 (RFC 2104) under one key, made ready once. Signing is safe from several threads.
class HmacKey {
 public:
  explicit HmacKey(std::string_view key);
  Digest sign(std::string_view data) const { return sign({data}); }
  /// Of the parts one after the other.
  Digest sign(std::initializer_list<std::string_view> parts) const;
  bool verify(std::string_view data, std::string_view signature) const;

 private:
  DigestContext inner_, outer_;
};

/// HMAC-SHA256 under a key used once.
Digest hmac_sha256(std::string_view key, std::string_view data);

/// Compares without telling by its time where the difference is. Lengths are no secret.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

/// `size` bytes from the kernel's generator (getrandom).
void random_bytes(void* out, std::size_t size);
std::string random_bytes(std::size_t size);

}  // namespace plimsoll
