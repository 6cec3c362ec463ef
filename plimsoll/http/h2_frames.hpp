#pragma once

// For tests: HTTP/2 frames written and read by hand, so that nothing of the library under test stands on both sides.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::http::frames {

inline constexpr int kData = 0, kHeaders = 1, kPriority = 2, kReset = 3, kSettings = 4, kPing = 6, kGoaway = 7,
                     kWindow = 8, kContinuation = 9;
inline constexpr int kEndStream = 1, kAck = 1, kEndHeaders = 4;

inline std::string frame(int type, int flags, std::uint32_t stream, std::string_view payload) {
  std::string out;
  for (int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
  return out.append(payload);
}
inline std::string number(std::uint32_t value) {
  std::string out;
  for (int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift);
  return out;
}
/// A literal field without indexing, its texts not compressed (RFC 7541, section 6.2.2); both shorter than 127.
inline std::string literal(std::string_view name, std::string_view value) {
  std::string out(1, '\0');
  out += static_cast<char>(name.size());
  out += name;
  out += static_cast<char>(value.size());
  return out.append(value);
}
inline std::string head(std::string_view method, std::string_view path, std::string_view more = {}) {
  return literal(":method", method) + literal(":scheme", "http") + literal(":path", path) +
         literal(":authority", "example.com") + std::string(more);
}
inline std::string get(std::uint32_t stream, std::string_view path = "/") {
  return frame(kHeaders, kEndStream | kEndHeaders, stream, head("GET", path));
}

struct Frame {
  int type, flags;
  std::uint32_t stream;
  std::string payload;
  std::uint32_t code(std::size_t at = 0) const {
    std::uint32_t out = 0;
    for (std::size_t i = at; i < at + 4; ++i) out = out << 8 | static_cast<std::uint8_t>(payload.at(i));
    return out;
  }
};
/// The whole frames at the front of `bytes`, which are taken off it.
inline std::vector<Frame> take_frames(std::string_view& bytes) {
  std::vector<Frame> out;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  while (bytes.size() >= 9) {
    const std::size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (bytes.size() < 9 + size) break;
    const std::uint32_t stream = (byte(5) & 0x7fu) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
    out.push_back({byte(3), byte(4), stream, std::string(bytes.substr(9, size))});
    bytes.remove_prefix(9 + size);
  }
  return out;
}

}  // namespace plimsoll::http::frames
