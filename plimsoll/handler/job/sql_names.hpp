#pragma once

#include "plimsoll/contract/contract.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::handler::job {

/// The following stop the start and are never answered over HTTP.
inline constexpr Problem kUnknownName{
    "unknown-sql-name", 500, "The SQL of a job names a value that no source supplies",
    "Name the source: `:body.NAME`, `:parameter.NAME` and `:response.NAME` for values of the request, which the "
    "contract must declare; `:run.job_id`, `:run.kind` and `:run.attempt` for the run; `:caller.subject`, "
    "`:caller.tenant` and `:caller.claims.NAME` for the caller."};
inline constexpr Problem kAmbiguousName{"ambiguous-sql-name", 500,
                                        "The SQL of a job names a value that several sources supply",
                                        "Name the source, such as `:body.NAME` or `:parameter.NAME`."};
inline constexpr Problem kBadStatement{"job-statement", 500, "The SQL of a job cannot be used",
                                       "Correct the statement. Its tables must exist at start: declare them under "
                                       "`tables` of the contract, or create them "
                                       "with a migration."};

/// Where the value of a named parameter comes from.
enum class Source : std::uint8_t { body, parameter, response, run, subject, tenant, claims };

/// A named parameter after its source is known: `:body.customer.email` is {body, [customer, email]}.
struct ValueName {
  Source source = Source::body;
  std::vector<std::string> path;
  friend bool operator==(const ValueName&, const ValueName&) = default;
};

/// A statement whose `:name` parameters are replaced with `?`, which every database accepts (SQLite's names hold no
/// dots), and their names in order. `:parameter."X-Shop"` is {parameter, X-Shop}.
struct NamedStatement {
  std::string sql;
  std::vector<std::vector<std::string>> names;
};
/// Fails on `?`, `@name` and `$name`, which would be parameters without a source.
Result<NamedStatement> named_statement(std::string_view text);

/// What the operations that start a job of one kind supply to it, as their contracts declare it. Which source a name
/// means is decided here, at start, so that no request can change it; caller values have names that no request value
/// can use.
class RequestSources {
 public:
  RequestSources(std::span<const contract::Contract* const> contracts, std::string_view kind);

  Result<ValueName> resolve(const std::vector<std::string>& name) const;

 private:
  enum class Presence : std::uint8_t { absent, possible, declared };
  struct Schema {
    const contract::Contract* contract;
    const json::Value* value;
  };
  Presence in_schemas(const std::vector<Schema>& schemas, std::span<const std::string> path) const;
  std::vector<Source> declaring(const std::string& name) const;
  void add_body(const contract::Contract&, const contract::Operation&);
  void add_response(const contract::Contract&, const contract::Operation&);

  const std::string kind_;
  std::vector<const contract::Operation*> operations_;  ///< that start it, by `job` or `after`
  std::vector<Schema> bodies_, responses_;
  bool any_body_ = false, any_response_ = false;  ///< one without a schema, which may hold anything
};

}  // namespace plimsoll::handler::job
