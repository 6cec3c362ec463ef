#pragma once

#include "plimsoll/exchange/handling.hpp"

namespace plimsoll::server {

/// The ways in which an operation can be answered, besides C++.
std::span<const Handling* const> handlings();
/// The one of that name, or null.
const Handling* handling(std::string_view name);

}  // namespace plimsoll::server
