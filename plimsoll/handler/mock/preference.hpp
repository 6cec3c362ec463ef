#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll::handler::mocking {

/// What a caller prefers of a mock (RFC 7240): `Prefer: code=404, example=missing, dynamic=true`.
struct Preference {
  std::uint16_t code = 0;      ///< 0: none
  std::string_view example{};  ///< empty: none
  bool dynamic = false;
};
/// From the values of all Prefer fields, joined. What is not understood is passed over.
Preference read_preference(std::string_view field);

}  // namespace plimsoll::handler::mocking
