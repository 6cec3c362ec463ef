#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/handler/table/plan.hpp"

namespace plimsoll::table {

/// What an operation on a table demands and returns, for the effective contract.
void describe(const json::Value& options, const Description& description, contract::Promises& promises);

/// Where the body of a merge patch is declared as the row itself: what a patch may be. Every member may be left out,
/// and one that rows need not have may be null, which takes it away.
void declare_patch(contract::Draft& draft, json::Value& operation, const Plan& plan);

}  // namespace plimsoll::table
