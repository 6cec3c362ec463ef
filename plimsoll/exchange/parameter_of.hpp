#pragma once

#include "plimsoll/exchange/context.hpp"

namespace plimsoll::contract {
enum class In : std::uint8_t;
}

namespace plimsoll {

/// The value of a parameter by its name, or null: for parts of the server that look whether the contract declares one.
/// A program binds its parameters when they are declared (exchange/arguments.hpp), so that a wrong name refuses the
/// start.
const json::Value* parameter_of(const Context& context, std::string_view name, contract::In in);

}  // namespace plimsoll
