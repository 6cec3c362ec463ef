#include "plimsoll/base/uuid.hpp"

#include <algorithm>
#include <cstring>

namespace plimsoll {
namespace {

// One call of the kernel serves 64 identifiers.
void random_16(std::uint8_t* out) {
  constexpr std::size_t kPool = 1024;
  thread_local std::array<std::uint8_t, kPool> pool;
  thread_local std::size_t used = kPool;
  if (used == kPool) {
    random_bytes(pool.data(), kPool);
    used = 0;
  }
  std::memcpy(out, pool.data() + used, 16);
  std::memset(pool.data() + used, 0, 16);
  used += 16;
}

void mark(Uuid& uuid, std::uint8_t version) {
  uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | version << 4);
  uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
}

}  // namespace

Uuid uuid4() {
  Uuid made;
  random_16(made.bytes.data());
  mark(made, 4);
  return made;
}

Uuid uuid7(Nanoseconds wall) {
  thread_local std::uint64_t last = 0;  // milliseconds and 12 bits of count
  Uuid made;
  random_16(made.bytes.data());
  const auto milliseconds = static_cast<std::uint64_t>(wall > 0 ? wall / kMillisecond : 0);
  const std::uint64_t start = (made.bytes[6] << 8 | made.bytes[7]) & 0x7ff;  // half of the range is left to count in
  last = (last >> 12) >= milliseconds ? last + 1 : milliseconds << 12 | start;
  for (int i = 0; i < 6; ++i) made.bytes[i] = static_cast<std::uint8_t>(last >> (52 - 8 * i));
  made.bytes[6] = static_cast<std::uint8_t>((last >> 8) & 0x0f);
  made.bytes[7] = static_cast<std::uint8_t>(last);
  mark(made, 7);
  return made;
}

Uuid uuid8(const Digest& of_name) {
  Uuid made;
  std::copy_n(of_name.begin(), made.bytes.size(), made.bytes.begin());
  mark(made, 8);
  return made;
}

std::array<char, 36> Uuid::text() const noexcept {
  constexpr char kHex[] = "0123456789abcdef";
  std::array<char, 36> out;
  auto* at = out.data();
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
    *at++ = kHex[bytes[i] >> 4];
    *at++ = kHex[bytes[i] & 15];
  }
  return out;
}

bool is_uuid(std::string_view text) noexcept {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < 36; ++i) {
    const char c = text[i];
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (dash ? c != '-' : !hex) return false;
  }
  return true;
}

}  // namespace plimsoll
