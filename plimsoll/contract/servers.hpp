#pragma once

#include "plimsoll/contract/report.hpp"

#include <string>
#include <vector>

namespace plimsoll::contract {

/// The path below which each of the servers serves, without trailing slash (`/v2`; empty for the root), each once and
/// in the order given. Variables take their default, or each value of their `enum`; at most 32 paths. One empty path
/// when there are no servers.
std::vector<std::string> base_paths(const json::Value* servers, const std::string& pointer, Report& report);

}  // namespace plimsoll::contract
