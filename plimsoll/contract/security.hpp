#pragma once

#include "plimsoll/contract/compiled.hpp"

namespace plimsoll::contract {

/// Reads `components/securitySchemes` into the contract.
void read_security_schemes(Compiled& made, Report& report);

/// Reads a `security` list: one alternative for each of its items. What it names must be among the schemes of `made`.
std::vector<SecurityRequirement> read_security(const json::Value* list, const Compiled& made, const Trail& trail,
                                               Report& report);

}  // namespace plimsoll::contract
