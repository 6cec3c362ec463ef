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
/// Bytes of `text` as a JSON string, quotes included; `text.size() + 2` where all of it stands for itself.
std::size_t string_size(std::string_view text);
/// Writes `text` as a JSON string of `size` bytes, as `string_size` gave it, and returns what is behind.
char* write_string(char* at, std::string_view text, std::size_t size);

}  // namespace plimsoll::json
