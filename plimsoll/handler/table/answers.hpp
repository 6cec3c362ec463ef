#pragma once

#include "plimsoll/handler/table/plan.hpp"
#include "plimsoll/handler/table/shared_values.hpp"

namespace plimsoll::table {

/// Writes into an operation what its table answers with, where its contract declares the status and nothing of the
/// body: generators of clients, `/docs` and the check of responses then know it.
void add_answer(contract::Draft& draft, json::Value& operation, const Plan& plan, SharedValues& shared);

}  // namespace plimsoll::table
