#pragma once

#include "plimsoll/contract/report.hpp"

#include <vector>

namespace plimsoll::contract {

/// Where an `x-plimsoll` stands.
enum class Scope : std::uint8_t { document, path, operation };

/// Checks the keys of one `x-plimsoll`: unknown ones are refused with a suggestion, later words saying so, and those
/// that have no effect in that scope. `method`: of the operation, in capitals.
void check_extension(const json::Value& extension, const std::string& pointer, Scope scope, std::string_view method,
                     const LoadOptions& options, Report& report);

/// The keys in force for an operation: the innermost scope that names one wins. Each may be null.
std::vector<Extension> merge_extensions(const json::Value* document, const json::Value* path,
                                        const json::Value* operation);

}  // namespace plimsoll::contract
