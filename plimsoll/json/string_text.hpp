#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

/// JSON strings written into memory that has room for them: first how much room, then the text.
namespace plimsoll::json {

/// Writes `text` as it is, and returns what is behind.
inline char* write_text(char* at, std::string_view text) {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());  // which may be nowhere
  return at + text.size();
}
/// What `write_padded` copies at once.
inline constexpr std::size_t kPadding = 32;
/// Writes a text, of which most are short, behind which `kPadding` bytes can be read; up to as many behind it are
/// written over.
inline char* write_padded(char* at, std::string_view text) {
  if (text.size() <= kPadding)
    std::memcpy(at, text.data(), kPadding);
  else
    std::memcpy(at, text.data(), text.size());
  return at + text.size();
}
/// The most bytes that so many bytes of text take as a JSON string, quotes included.
constexpr std::size_t longest_string(std::size_t size) {
  constexpr std::size_t kLongEscape = 6;  // `\u001f`
  return kLongEscape * size + 2;
}
/// Bytes of `text` as a JSON string, quotes included.
std::size_t string_size(std::string_view text);
/// Writes `text` as a JSON string into memory that has room for `string_size` bytes, and returns what is behind.
char* write_string(char* at, std::string_view text);

}  // namespace plimsoll::json
