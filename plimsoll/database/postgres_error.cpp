#include "plimsoll/database/postgres_error.hpp"

#include "plimsoll/async/scope.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/database/relation.hpp"

#include <algorithm>
#include <string>

namespace plimsoll::database {
namespace {

// The cause of an error begins `postgres 23514`.
constexpr std::string_view kSaid = "postgres ";
constexpr std::size_t kState = 5;

/// A name as it is written in an expression: `"a b"` is a b.
std::string unquoted(std::string_view name) {
  if (name.size() < 2 || name.front() != '"' || name.back() != '"') return std::string(name);
  std::string made;
  for (std::size_t i = 1; i + 1 < name.size(); ++i) {
    made += name[i];
    if (name[i] == '"') ++i;
  }
  return made;
}

bool is_column(std::string_view name) { return !name.empty() && name.find_first_of("() :") == name.npos; }

/// The columns in `Key (a, "b c")=(1, 2) already exists.`: the first parenthesis, in whatever language the rest is.
/// Parts that are expressions name no column.
std::vector<std::string> key_columns(std::string_view detail) {
  std::vector<std::string> columns;
  const auto begin = detail.find('(');
  const auto end = detail.find(")=(");
  if (begin == detail.npos || end == detail.npos || end < begin) return columns;
  const auto list = detail.substr(begin + 1, end - begin - 1);
  for (std::size_t at = 0; at < list.size();) {
    std::size_t stop = at;
    for (bool quoted = false; stop < list.size() && (quoted || list.substr(stop, 2) != ", "); ++stop)
      if (list[stop] == '"') quoted = !quoted;
    const auto part = list.substr(at, stop - at);
    if (part.starts_with('"') || is_column(part)) columns.push_back(unquoted(part));
    at = stop + 2;
  }
  return columns;
}

/// The column that the name of a rule tells: ours are `<table>.<column>…`, those that PostgreSQL makes
/// `<table>_<column>_check`.
std::string_view column_of_rule(std::string_view constraint, std::string_view table) {
  if (const auto dot = constraint.find('.'); dot != constraint.npos) {
    constraint.remove_prefix(dot + 1);
    constraint = constraint.substr(0, constraint.find(':'));
  } else if (constraint.size() > table.size() && constraint.starts_with(table) && constraint[table.size()] == '_') {
    while (!constraint.empty() && constraint.back() >= '0' && constraint.back() <= '9') constraint.remove_suffix(1);
    if (!constraint.ends_with("_check") || constraint.size() <= table.size() + 7) return {};
    constraint = constraint.substr(table.size() + 1, constraint.size() - table.size() - 7);
  }
  return is_column(constraint) ? constraint : std::string_view{};
}

Error violation(const Problem& problem, std::string detail, const PostgresDiagnostics& said,
                const std::vector<std::string>& columns, std::string_view keyword, std::string_view sentence) {
  Error error{declared(problem), std::move(detail)};
  auto& more = error.more();
  // The name of the rule may be all that is told: PostgresDialect::violation_of reads it here.
  more.cause = std::string(kSaid) + std::string(said.sqlstate) +
               (said.constraint.empty() ? std::string{} : " " + std::string(said.constraint)) + ": " +
               std::string(said.message);
  for (const auto& column : columns)
    if (!column.empty()) more.fields.push_back({"body", "/" + column, std::string(keyword), std::string(sentence)});
  return error;
}

Error integrity_error(const PostgresDiagnostics& said) {
  const auto state = said.sqlstate;
  const std::string column(said.column);
  if (state == "23505" || state == "23P01")
    return violation(kConflict, "Another row has this value already.", said, key_columns(said.detail), "unique",
                     "is taken already");
  if (state == "23502")
    return violation(kConstraint, "A value is missing.", said, {column}, "required", "must not be null");
  if (state == "23514")
    return violation(kConstraint, "A value breaks a rule of its column.", said,
                     {said.table.empty() ? std::string{}  // the rule of a domain, whose name tells no column
                                         : std::string(column_of_rule(said.constraint, said.table))},
                     "check", "breaks a rule");
  if (state == "23503" && said.detail.find("still referenced") != said.detail.npos)
    return violation(kConflict, "Other rows still refer to this one.", said, {}, {}, {});
  if (state == "23503")
    return violation(kConstraint, "What is referred to does not exist.", said, key_columns(said.detail), "foreign-key",
                     "refers to a row that does not exist");
  return violation(kConflict, "The database refuses the change.", said, {column}, "constraint", "is refused");
}

/// The index of `index row size 2752 exceeds btree version 4 maximum 2704 for index "things_by_name"`: what stands in
/// quotes at the end, in whatever language the rest is. Empty: the message names none.
std::string_view index_in(std::string_view message) {
  const auto end = message.find_last_of('"');
  const auto begin = end == message.npos || end == 0 ? message.npos : message.find_last_of('"', end - 1);
  return begin == message.npos ? std::string_view{} : message.substr(begin + 1, end - begin - 1);
}

/// A name as SQL takes it back, quoted where it has to be.
std::string named(std::string_view name) {
  const bool plain = !name.empty() && (name[0] < '0' || name[0] > '9') &&
                     name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
  return plain ? std::string(name) : quoted(name);
}

/// What a statement does to the tables that it names.
std::string rights_of(std::string_view sql) {
  std::string upper(sql), all;
  std::ranges::transform(upper, upper.begin(), [](char c) { return c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c; });
  const auto says = [&](std::string_view word) { return upper.find(word) != upper.npos; };
  const auto add = [&](std::string_view right) { all.append(all.empty() ? "" : ", ").append(right); };
  if (says("INSERT INTO ")) add("INSERT");
  if (upper.starts_with("UPDATE ") || upper.ends_with(" UPDATE") || says(" UPDATE ") || says("(UPDATE ")) add("UPDATE");
  if (says("DELETE FROM ")) add("DELETE");
  if (says("REFERENCES ")) add("REFERENCES");
  if (all.empty() || says("SELECT") || says("RETURNING") || says("WHERE"))
    all.insert(0, all.empty() ? "SELECT" : "SELECT, ");
  return all;
}

}  // namespace

std::string remedy_of_right(std::string_view message, std::string_view sql, std::string_view role) {
  constexpr std::string_view kDenied = "permission denied for ", kOwner = "must be owner of ";
  const bool creates = sql.empty() || sql.starts_with("CREATE ") || sql.starts_with("ALTER ");
  const auto grant = [&](std::string_view rights, std::string_view on) {
    return "GRANT " + std::string(rights) + " ON " + std::string(on) + " TO " + named(role) + ";";
  };
  if (message.starts_with(kOwner))
    return "Let the owner do it: `plimsoll migrate up` with a deployment whose `database: {url: …}` names the role "
           "that "
           "owns the " +
           std::string(message.substr(kOwner.size())) + ".";
  if (message.find("no schema has been selected to create in") != message.npos)
    return grant("USAGE, CREATE", "SCHEMA public");
  if (!message.starts_with(kDenied))
    return "Give the role " + std::string(role) +
           " the right that is missing; docs/postgresql.md lists those it needs.";
  message.remove_prefix(kDenied.size());
  const auto space = message.find(' ');
  auto kind = message.substr(0, space);
  auto name = space == message.npos ? std::string_view{} : message.substr(space + 1);
  for (std::string_view word : {"table", "view"})  // foreign table, materialized view
    if (name.starts_with(std::string(word) + " ")) kind = word, name.remove_prefix(word.size() + 1);
  if (kind == "schema") return grant(creates ? "USAGE, CREATE" : "USAGE", "SCHEMA " + named(name));
  if (kind == "sequence") return grant("USAGE", "SEQUENCE " + named(name));
  if (kind == "function" || kind == "procedure") return grant("EXECUTE", "ROUTINE " + named(name));
  if (kind == "database") return grant("CONNECT, CREATE, TEMPORARY", "DATABASE " + named(name));
  if (kind == "type" || kind == "domain" || kind == "language")
    return grant("USAGE", std::string(kind) + " " + named(name));
  return grant(rights_of(sql), named(name));
}

bool ends_connection(std::string_view state) {
  return state.starts_with("08") || state == "57P01" || state == "57P02" || state == "57P03" || state == "57P04" ||
         state == "57P05" || state == "25P03";
}

Error postgres_unavailable(std::string_view cause) {
  Error error{&kUnavailable};
  error.more().retry_after = 1;
  error.more().cause = "postgres: " + std::string(cause.substr(0, cause.find_last_not_of(" \n") + 1));
  return error;
}

std::string_view sqlstate_of(const Error& error) {
  const auto cause = error.more_ ? std::string_view(error.more_->cause) : std::string_view{};
  const bool said = cause.starts_with(kSaid) && cause.size() >= kSaid.size() + kState;
  return said ? cause.substr(kSaid.size(), kState) : std::string_view{};
}

Error postgres_error(const PostgresDiagnostics& said, std::string_view sql) {
  const auto state = said.sqlstate;
  const auto kind = state.substr(0, 2);
  const auto cause = std::string(kSaid) + std::string(state) + ": " + std::string(said.message);
  if (kind == "23") return integrity_error(said);
  if (kind == "22")
    return violation(kConstraint, "A value has the wrong type.", said, {std::string(said.column)}, "type",
                     "has the wrong type for its column");
  // Permission is wanting for a row that row-level security refuses; else for the table, which is the operator's
  // affair.
  if (state == "42501" && said.routine == "ExecWithCheckOptions")
    return violation(kConstraint, "The database does not allow the row.", said, {}, {}, {});
  // A right that is missing (42501), which also hides a schema (3F000).
  if (state == "42501" || (state == "3F000" && said.message.find("to create in") != said.message.npos))
    return Error{&kInternal}.because(cause + " (role " + std::string(said.role) + ")" + (sql.empty() ? "" : " in: ") +
                                     std::string(sql.substr(0, 500)) + std::string(kRemedyFollows) +
                                     remedy_of_right(said.message, sql, said.role));
  if (state == "40001" || state == kDeadlock) return Error{&kRunAgain}.because(cause);
  // A cached plan whose table has changed: the next one is made anew.
  if (state == "0A000" && said.message.find("cached plan") != said.message.npos)
    return Error{&kRunAgain}.because(cause);
  // Cancelled by statement_timeout (57014), or a lock that was not to be had in time (55P03).
  if (state == "57014") return Error{&kDeadlineExceeded}.because(cause);
  if (state == "55P03") return busy();
  if (state == "P0001" || kind == "44")  // RAISE of a trigger; WITH CHECK OPTION of a view
    return violation(kConflict, "The database refuses the change.", said, {std::string(said.column)}, "constraint",
                     "is refused");
  if (state == "53400" || kind == "54") {
    auto named = said;
    if (state == kTooLong && named.constraint.empty()) named.constraint = index_in(said.message);
    return violation(kConstraint, "A value is too large.", named, {}, {}, {});
  }
  // 25006: a standby, or a database that is set read-only. 58: its files.
  if (kind == "08" || kind == "53" || kind == "57" || kind == "58" || kind == "28" || kind == "3D" ||
      state == "25006" || ends_connection(state))
    return postgres_unavailable(cause);
  return Error{&kInternal}.because(cause + (sql.empty() ? "" : " in: " + std::string(sql.substr(0, 500))));
}

}  // namespace plimsoll::database
