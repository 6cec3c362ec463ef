#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace plimsoll {

/// SHA-1 (FIPS 180-4), for protocols that demand it where nothing depends on its strength (RFC 6455, section 1.3).
std::array<std::uint8_t, 20> sha1(std::string_view data);

}  // namespace plimsoll
