#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/http/message.hpp"

#include <string_view>

namespace plimsoll::policy {

/// What a request shows for a security scheme, whether it is any good or not; empty: nothing. What is shown twice is
/// something that nothing verifies.
std::string_view credential(const contract::SecurityScheme& scheme, const Request& request);

}  // namespace plimsoll::policy
