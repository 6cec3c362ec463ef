#pragma once

#include "plimsoll/base/result.hpp"

#include <string_view>

namespace plimsoll::database {

/// The work was undone through no fault of its own and may run again: a serialization failure, a deadlock, or a
/// connection that was lost before the commit. Never leaves the database.
inline constexpr Problem kRunAgain{"run-again", 503, "The transaction was rolled back and can be retried", "", true};

/// What PostgreSQL says about an error (protocol, section 55.8).
struct PostgresDiagnostics {
  std::string_view sqlstate, message, detail{}, table{}, column{}, constraint{}, routine{};
  std::string_view role{};  ///< as which the session runs
};

/// PostgreSQL's `program_limit_exceeded`: a value is longer than an index, or the type of the index of `q`, can hold.
inline constexpr std::string_view kTooLong = "54000";

/// PostgreSQL's `deadlock_detected`: each of several transactions waited for another.
inline constexpr std::string_view kDeadlock = "40P01";

/// The error as callers may know it. Violations are `conflict` or `constraint` and name their columns where PostgreSQL
/// does. `sql`: the statement, for the log where it is wrong itself.
Error postgres_error(const PostgresDiagnostics& said, std::string_view sql);

/// The SQLSTATE of such an error; empty: it is no error that PostgreSQL has said.
std::string_view sqlstate_of(const Error& error);

/// What gives a role the right that a statement was refused for: `GRANT … TO …;`, or a sentence where no GRANT does.
/// `message` as PostgreSQL writes it in English; empty `sql`: a script.
std::string remedy_of_right(std::string_view message, std::string_view sql, std::string_view role);

/// The connection can no longer be used after this error.
bool ends_connection(std::string_view sqlstate);

/// The database cannot be reached or takes nothing: 503 with `Retry-After`. `cause` is for the log.
Error postgres_unavailable(std::string_view cause);

}  // namespace plimsoll::database
