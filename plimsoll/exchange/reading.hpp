#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/context.hpp"

#include <span>
#include <string_view>

namespace plimsoll {

/// A read of this exchange on the account of its caller: under row-level security it sees what the caller may see, and
/// it takes turns with those of other callers.
database::Reading reading_of(const Context& context);

/// What a handler reads for its caller, outside of the unit of work. `quick`: the statement is known to be short (a
/// key, an indexed page).
///
/// `services.database->read` is for what the server itself reads: it sees the rows of everybody.
Task<Result<database::Rows>> read_as_caller(Context& context, std::string_view sql,
                                            std::span<const database::Cell> parameters, bool quick);

}  // namespace plimsoll
