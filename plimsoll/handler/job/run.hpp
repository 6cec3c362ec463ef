#pragma once

#include "plimsoll/exchange/services.hpp"
#include "plimsoll/handler/job/sql_names.hpp"
#include "plimsoll/json/value.hpp"
#include "plimsoll/queue/workers.hpp"

#include <memory>

namespace plimsoll::handler::job {

/// The service that was called says that the job is wrong in itself; it is not repeated.
inline constexpr Problem kRefused{"job-refused", 422, "The service that runs the job rejected it",
                                  "Correct the cause that the `error` of the job names, and start the job again."};
/// The service that was called failed; it is called again.
inline constexpr Problem kServiceFailed{"job-service-failed", 502, "The service that runs the job failed",
                                        "No action is needed: the job is retried.", true};

/// `run: {http: URL}`: POSTs the payload. 2xx completes the job and its body is the result; 408, 429, 5xx and a broken
/// connection are repeated, not before `Retry-After`; other answers make the job dead. The job's id goes along as
/// `Idempotency-Key`, so that the service can tell a repetition. The service has the time of the `attempt`, unless the
/// options give it less. Beside its own options stand the keys of the policies around calls (client/chain.cpp).
Result<std::unique_ptr<queue::Runner>> run_http(const json::Value& options, Nanoseconds attempt, std::string_view kind,
                                                const Services& services);

/// A statement of a job as the database gets it, for the check at start.
struct SqlStatement {
  std::string sql;
  std::size_t parameters = 0;
  json::Position at{};       ///< in the deployment
  bool gives_lines = false;  ///< its rows are the lines of the result: they have one column
};

struct SqlJob {
  std::unique_ptr<queue::Runner> runner;
  std::vector<std::string> claims;  ///< of the caller, which the payload must hold
  std::vector<SqlStatement> statements;
};

/// `run: {sql: STATEMENT}`, or a list of them: in the transaction in which the job completes. What each `:name` stands
/// for is decided here, see RequestSources.
Result<SqlJob> run_sql(const json::Value& options, const RequestSources& sources);

}  // namespace plimsoll::handler::job
