#pragma once

#include "plimsoll/base/function_ref.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/promises.hpp"

#include <string>

namespace plimsoll::contract {

/// The contract as the server keeps it: what the document says, with the parameters, headers, statuses and schemas that
/// follow from what answers each operation. One line of JSON.
///
/// `describe` is asked once for each operation, in the order of the document. `extensions`: with `x-plimsoll`, for
/// operators; without it for callers, whom names of tables and roles do not concern.
std::string effective_document(const Contract& contract,
                               FunctionRef<void(const Operation& operation, Promises& promises)> describe,
                               bool extensions);

}  // namespace plimsoll::contract
