#pragma once

#include "plimsoll/config/options.hpp"

#include <span>

namespace plimsoll::config {

/// Whether the amount that an option has is within its bounds; the error is at `said`, which gave it that value.
Result<> check_bounds(const json::Value& said, const Field& field, const void* options);
/// The same of all options of a struct: a short form says one or several of them at once.
Result<> check_bounds(const json::Value& said, std::span<const Field> fields, const void* options);

}  // namespace plimsoll::config
