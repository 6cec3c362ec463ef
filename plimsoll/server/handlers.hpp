#pragma once

#include "plimsoll/exchange/handling.hpp"

namespace plimsoll::server {

/// The ways in which an operation can be answered, besides C++: those of the server, then those of the program.
std::span<const Handling* const> handlings();
/// Adds one of the program. An error: its name is taken. Before anything is read, by one thread; it lives as long as
/// the process. The same again changes nothing.
Result<> add_handling(const Handling& handling);
/// The one of that name, or null.
const Handling* handling(std::string_view name);

}  // namespace plimsoll::server
