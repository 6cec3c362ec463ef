#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll::http {

/// What a `Range` asks of a representation.
struct ByteRange {
  enum class Kind : std::uint8_t {
    whole,          ///< all of it: the field asks for nothing that is served in part
    part,           ///< `length` bytes from `first` on
    unsatisfiable,  ///< none of its bytes (416)
  };
  Kind kind = Kind::whole;
  std::uint64_t first = 0, length = 0;
};

/// The value of a `Range` (RFC 9110, section 14.1.2) held against a representation of `size` bytes: one range of bytes.
/// Several ranges, other units and what cannot be read give the whole (section 14.2).
ByteRange byte_range(std::string_view field, std::uint64_t size);

}  // namespace plimsoll::http
