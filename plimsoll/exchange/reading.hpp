#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/context.hpp"

#include <span>
#include <string_view>

namespace plimsoll {

/// What the reads of an exchange must show where replicas answer them, and how far it has written. Noted in the
/// exchange by `read-your-writes`; there is none where the deployment has no replicas.
struct Consistency {
  bool safe = false;             ///< the request changes nothing: replicas may answer
  bool kept = false;             ///< what is read is kept for others
  std::uint64_t site = 0;        ///< of the client's address, for callers that nobody knows
  database::Position after = 0;  ///< that the request names
  database::Position wrote = 0;
};

/// A read of this exchange on the account of its caller: under row-level security it sees what the caller may see, it
/// takes turns with those of other callers, and it shows what the caller has written.
database::Reading reading_of(const Context& context);

/// What a handler reads for its caller, outside of the unit of work. `quick`: the statement is known to be short (a
/// key, an indexed page).
///
/// `services.database->read` is for what the server itself reads: it sees the rows of everybody.
Task<Result<database::Rows>> read_as_caller(Context& context, std::string_view sql,
                                            std::span<const database::Cell> parameters, bool quick);

}  // namespace plimsoll
