#pragma once

#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/message.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace plimsoll {

/// Field lines that are the same for every answer: looked at and written out once, when the chain is built, so that an
/// answer pays for one copy of them all.
class FieldBlock {
 public:
  FieldBlock() = default;
  FieldBlock(FieldBlock&&) noexcept = default;
  FieldBlock& operator=(FieldBlock&&) noexcept = default;

  /// Copies both; false, and nothing is added, where the name is no token in lower case, is the connection's to say, or
  /// where the value would end its line.
  bool add(std::string_view name, std::string_view value);

  std::span<const Header> fields() const { return fields_; }
  /// Of their names (Headers::mark).
  std::uint64_t marks() const { return marks_; }
  /// `\r\nname: value` for each, as HTTP/1 sends them.
  std::string_view lines() const { return {lines_.data(), lines_.size()}; }

 private:
  std::vector<char> lines_;
  std::vector<Header> fields_;  ///< views into the lines
  std::uint64_t marks_ = 0;
};

/// Fields that are the connection's to say, not the answer's.
constexpr bool is_framing(std::string_view name) {
  const auto size = name.size();
  if (size != 7 && size != 10 && size != 14 && size != 16 && size != 17) return false;
  switch (size) {
    case 7: return same_as_lower(name, "upgrade");
    case 10: return same_as_lower(name, "connection") || same_as_lower(name, "keep-alive");
    case 14: return same_as_lower(name, "content-length");
    case 16: return same_as_lower(name, "proxy-connection");
    case 17: return same_as_lower(name, "transfer-encoding");
    default: return false;
  }
}

}  // namespace plimsoll
