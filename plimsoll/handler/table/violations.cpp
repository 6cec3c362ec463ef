#include "plimsoll/handler/table/write.hpp"

#include "plimsoll/exchange/permission.hpp"
#include "plimsoll/handler/table/ddl.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <ranges>

namespace plimsoll::table {

using database::Cell;
using database::Session;

namespace {

void blame(Error& error, const Column& column, std::string_view prefix, std::string_view keyword,
           std::string sentence) {
  error.more().fields.push_back(
      {"body", std::string(prefix) + "/" + column.name, std::string(keyword), std::move(sentence)});
  error.detail = summary(error.more().fields);
}

/// A new row may refer to itself.
bool refers_to_itself(const Table& table, const ForeignKey& reference, const Change& change) {
  if (reference.table != table.name) return false;
  for (std::size_t i = 0; i < reference.from.size() && i < reference.to.size(); ++i) {
    const auto from = table.column(reference.from[i]), to = table.column(reference.to[i]);
    if (!from || !to || !change.cells[*to] || change.cells[*from] != change.cells[*to]) return false;
  }
  return true;
}

/// The other row may be of another tenant: nothing is said of it, whosever it is.
void keep_tenants_apart(Error& error, const Table& table) {
  auto& fields = error.more().fields;
  const auto tenant = "/" + table.columns[*table.tenant].name;
  const bool conflict = error.problem == &database::kConflict;
  // The tenant is the caller's, whatever is referred to.
  if (fields.size() > 1)
    std::erase_if(fields,
                  [&](auto& field) { return field.pointer == tenant && (conflict || field.keyword == "foreign-key"); });
  if (!conflict) return;
  for (auto& field : fields)
    if (field.keyword == "unique") field.message = "cannot be used: choose another value";
  error.detail = fields.empty() ? "The change cannot be made." : summary(fields);
}

/// The same of a row that does not exist and of one that the caller does not see.
void blame_reference(Error& error, const Column& column, std::string_view prefix) {
  blame(error, column, prefix, "foreign-key", "refers to a row that does not exist");
}

/// What a foreign key of a row refers to.
struct Referred {
  std::vector<Named> values{};
  std::vector<std::size_t> columns{};  ///< that hold them
};

/// Nothing where the change says nothing new by it, or it has a null in it or a column that is not known.
std::optional<Referred> referred_by(const ForeignKey& key, const Table& table, const Change& change,
                                    const Row* before) {
  Referred made;
  bool changes = false;
  for (std::size_t i = 0; i < key.from.size() && i < key.to.size(); ++i) {
    const auto column = table.column(key.from[i]);
    if (!column || (!change.cells[*column] && !before)) return std::nullopt;
    const auto& cell = change.cells[*column] ? *change.cells[*column] : (*before)[*column];
    if (cell.index() == 0) return std::nullopt;
    changes |= change.cells[*column].has_value();
    made.columns.push_back(*column);
    made.values.push_back({key.to[i], &table.columns[*column], cell});
  }
  if (!changes || made.columns.size() != key.from.size()) return std::nullopt;
  return made;
}

}  // namespace

Task<Result<std::vector<std::size_t>>> Writing::broken_references(Session& session, const Change& change,
                                                                  const Row* before,
                                                                  std::vector<std::size_t> broken) const {
  auto all = co_await database_.dialect().foreign_keys(session, table().name);
  if (!all) co_return std::unexpected(std::move(all).error());
  for (auto& reference : *all) {
    auto referred = referred_by(reference, table(), change, before);
    if (!referred) continue;
    auto& columns = referred->columns;
    const auto statement = there_statement(database_.dialect(), reference.table, referred->values);
    auto found = co_await session.query(statement.sql, statement.cells);
    if (!found) co_return std::unexpected(std::move(found).error());
    if (!found->empty() || refers_to_itself(table(), reference, change)) continue;
    // The tenant is the caller's, whatever is referred to.
    if (columns.size() > 1) std::erase_if(columns, [&](auto column) { return column == table().tenant; });
    broken.insert(broken.end(), columns.begin(), columns.end());
  }
  std::ranges::sort(broken);
  const auto repeated = std::ranges::unique(broken);
  broken.erase(repeated.begin(), repeated.end());
  co_return broken;
}

std::optional<std::vector<Cell>> Writing::new_reference(const GuardedReference& reference, const Change& change,
                                                        const Row* before, const Caller& caller) const {
  std::vector<Cell> values;
  bool changes = false;
  for (auto index : reference.from) {
    const auto& column = table().columns[index];
    const auto& asked = change.cells[index];
    if (!asked && !before) return std::nullopt;
    const auto& cell = asked ? *asked : (*before)[index];
    if (cell.index() == 0) return std::nullopt;
    // What the server itself says about the caller is for the database to judge.
    const bool own = column.filled == Filled::tenant ||
                     (column.filled == Filled::owner && cell == caller_cell(column, caller.subject));
    changes |= asked && !own && !(before && (*before)[index] == cell);
    values.push_back(cell);
  }
  bool itself = reference.to == &table() && values.size() == table().keys.size();
  for (std::size_t i = 0; itself && i < values.size(); ++i)
    itself = reference.target[i] == table().columns[table().keys[i]].name && change.cells[table().keys[i]] == values[i];
  if (!changes || itself) return std::nullopt;
  return values;
}

Task<Result<bool>> Writing::sees(Session& session, const GuardedReference& reference, std::vector<Cell> values,
                                 const Caller& caller) const {
  std::vector<Named> named;
  for (std::size_t i = 0; i < values.size(); ++i)
    named.push_back({reference.target[i], &table().columns[reference.from[i]], std::move(values[i])});
  const auto statement = visible_statement(database_.dialect(), *reference.to, named, caller);
  if (!statement) co_return false;
  auto rows = co_await session.query(statement->sql, statement->cells);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  co_return !rows->empty();
}

Task<Result<std::vector<bool>>> Writing::refer_to_seen(Session& session, std::span<const Change> changes,
                                                       const Caller& caller) const {
  std::vector<bool> all(changes.size(), true);
  for (auto& reference : guarded_) {
    std::map<std::vector<Cell>, bool> seen;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      auto values = new_reference(reference, changes[i], nullptr, caller);
      if (!values) continue;
      const auto [known, is_new] = seen.try_emplace(*values);
      if (is_new) {
        auto there = co_await sees(session, reference, std::move(*values), caller);
        if (!there) co_return std::unexpected(std::move(there).error());
        known->second = *there;
      }
      if (!known->second) all[i] = false;
    }
  }
  co_return all;
}

Task<Result<bool>> Writing::sees_all(Session& session, std::span<const Change> changes, const Caller& caller) const {
  auto seen = co_await refer_to_seen(session, changes, caller);
  if (!seen) co_return std::unexpected(std::move(seen).error());
  co_return std::ranges::find(*seen, false) == seen->end();
}

Task<Result<std::vector<bool>>> Writing::refer_to_rows(Session& session, std::span<const Change> changes,
                                                       const Caller& caller) const {
  auto all = co_await refer_to_seen(session, changes, caller);
  if (!all) co_return std::unexpected(std::move(all).error());
  auto keys = co_await database_.dialect().foreign_keys(session, table().name);
  if (!keys) co_return std::unexpected(std::move(keys).error());
  for (const auto& key : *keys) {
    std::map<std::vector<Cell>, bool> there;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const auto referred = referred_by(key, table(), changes[i], nullptr);
      if (!referred) continue;
      std::vector<Cell> values;
      for (const auto& named : referred->values) values.push_back(named.value);
      const auto [known, is_new] = there.try_emplace(std::move(values));
      if (is_new) {
        const auto statement = there_statement(database_.dialect(), key.table, referred->values);
        auto found = co_await session.query(statement.sql, statement.cells);
        if (!found) co_return std::unexpected(std::move(found).error());
        known->second = !found->empty();
      }
      if (!known->second) (*all)[i] = false;
    }
  }
  co_return std::move(*all);
}

Task<Result<>> Writing::check_references(Session& session, const Change& change, const Row* before,
                                         const Caller& caller, std::string_view prefix) const {
  std::vector<std::size_t> broken;
  for (auto& reference : guarded_) {
    auto values = new_reference(reference, change, before, caller);
    if (!values) continue;
    auto there = co_await sees(session, reference, std::move(*values), caller);
    if (!there) co_return std::unexpected(std::move(there).error());
    if (*there) continue;
    broken.insert(broken.end(), reference.from.begin(), reference.from.end());
  }
  if (broken.empty()) co_return Result<>{};
  // All that is broken is told at once, so that others' rows change nothing of the answer.
  auto every = co_await broken_references(session, change, before, std::move(broken));
  if (!every) co_return std::unexpected(std::move(every).error());
  Error error{&database::kConstraint};
  for (auto column : *every) blame_reference(error, table().columns[column], prefix);
  co_return std::unexpected(std::move(error));
}

std::vector<std::size_t> Writing::longest(const Change& change, std::vector<std::size_t> columns, bool words) const {
  const auto size = [&](std::size_t column) {
    const auto* text = change.cells[column] ? std::get_if<std::string>(&*change.cells[column]) : nullptr;
    return text ? text->size() : 0;
  };
  if (columns.empty() && words) columns = table().search;
  if (columns.empty()) {  // the database names no index where a row of one would be longer than a page
    for (std::size_t i = 0; i < change.cells.size(); ++i)
      if (table().columns[i].kind == Kind::text && size(i) > database_.dialect().longest_indexed())
        columns.push_back(i);
    const auto definition = definition_of(*model_, table());
    const auto is_indexed = [&](std::size_t column) {
      const auto has = [&](auto& all) { return std::ranges::find(all, column) != all.end(); };
      return std::ranges::any_of(definition.indexes, has) || std::ranges::any_of(definition.unique, has);
    };
    if (std::ranges::any_of(columns, is_indexed)) std::erase_if(columns, std::not_fn(is_indexed));
  }
  std::erase_if(columns, [&](auto column) { return size(column) == 0; });
  if (columns.empty()) return columns;
  // One that has less than its share is not too long.
  const auto share = std::ranges::max(columns | std::views::transform(size)) / columns.size();
  std::erase_if(columns, [&](auto column) { return size(column) < share; });
  return columns;
}

void Writing::keep_columns(Error& error) const {
  if (!error.more_) return;
  std::erase_if(error.more_->fields, [&](auto& field) {
    return field.pointer.empty() || !table().column(std::string_view(field.pointer).substr(1));
  });
}

Task<Result<>> Writing::go_back(Session& session) const {
  if (!database_.dialect().failure_ends_transaction()) co_return Result<>{};
  // What the exchange, or this item of a batch, has done so far is rolled back in any case.
  auto back = co_await session.query(has_savepoints() ? "ROLLBACK TO item" : "ROLLBACK TO handler", {});
  if (!back) co_return std::unexpected(std::move(back).error());
  co_return Result<>{};
}

Task<Result<std::vector<std::size_t>>> Writing::columns_to_blame(Session& session, const Change& change,
                                                                 const database::Violation& violation,
                                                                 std::string_view cause) const {
  std::vector<std::size_t> columns;
  const auto& dialect = database_.dialect();
  if (auto back = co_await go_back(session); !back) co_return std::unexpected(std::move(back).error());
  if (!violation.rule.empty()) {
    auto names = co_await dialect.columns_of_rule(session, table().name, violation.rule);
    if (!names) co_return std::unexpected(std::move(names).error());
    for (auto& name : *names)
      if (const auto column = table().column(name)) columns.push_back(*column);
    // Of those that a rule is about, the ones that are changed.
    if (std::ranges::any_of(columns, [&](auto column) { return change.cells[column].has_value(); }))
      std::erase_if(columns, [&](auto column) { return !change.cells[column]; });
    co_return columns;
  }
  if (violation.what == database::Violation::What::length || violation.what == database::Violation::What::words)
    co_return columns;
  // A value that its type refuses: each is tried alone, and those that fail in the same way are to blame.
  const auto same = cause.substr(0, cause.find(':'));
  for (std::size_t i = 0; i < change.cells.size(); ++i) {
    if (!change.cells[i]) continue;
    const auto trial = dialect.trial(table().name, table().columns[i], *change.cells[i]);
    if (trial.sql.empty()) continue;
    if (auto nested = co_await session.query("SAVEPOINT trial", {}); !nested)
      co_return std::unexpected(std::move(nested).error());
    auto tried = co_await session.query(trial.sql, trial.cells);
    if (!tried) {
      const auto why = database::reason_of(tried.error());
      if (why.substr(0, why.find(':')) == same) columns.push_back(i);
      if (auto back = co_await session.query("ROLLBACK TO trial", {}); !back)
        co_return std::unexpected(std::move(back).error());
    }
    if (auto done = co_await session.query("RELEASE trial", {}); !done)
      co_return std::unexpected(std::move(done).error());
  }
  co_return columns;
}

Task<Result<Row>> Writing::explained(Session& session, Error error, const Change* change, const Row* before,
                                     std::string_view prefix) const {
  const bool of_rows = error.problem == &database::kConflict || error.problem == &database::kConstraint;
  if (!of_rows || !error.more_) co_return std::unexpected(std::move(error));
  using enum database::Violation::What;
  auto violation = database_.dialect().violation_of(error);
  if (violation.what == policy)
    co_return fail(kForbidden, change ? "a rule of the database does not let you make the row so"
                                      : "a rule of the database does not let you delete the row");
  keep_columns(error);
  auto& fields = error.more_->fields;
  if (violation.what == reference && !change) {
    Error conflict{&database::kConflict, "Other rows still refer to this one."};
    co_return std::unexpected(std::move(conflict));
  }
  if (violation.what == check && !violation.rule.empty()) fields.clear();  // guessed from the name of the rule
  // The database names one broken reference, or none: all are told at once. Not where going back takes away rows of the
  // same batch, which may be referred to.
  const bool takes_rows = database_.dialect().failure_ends_transaction() && plan_.batch && plan_.batch->all_or_nothing;
  if (violation.what == reference && change && !takes_rows) {
    if (auto back = co_await go_back(session); !back) co_return std::unexpected(std::move(back).error());
    auto broken = co_await broken_references(session, *change, before);
    if (!broken) co_return std::unexpected(std::move(broken).error());
    if (!broken->empty()) fields.clear();
    for (auto column : *broken) blame_reference(error, table().columns[column], {});
  }
  if (fields.empty() && change) {
    // A rule without a name is told by its expression: the columns in it are to blame, and it stays inside.
    for (std::size_t i = 0; violation.what == check && i < table().columns.size(); ++i)
      if (const auto& column = table().columns[i];
          change->cells[i] && (database::mentions(violation.expression, column.name) ||
                               std::ranges::find(column.checks, violation.rule) != column.checks.end()))
        blame(error, column, {}, "check", "breaks a rule");
    if (violation.what == check && fields.empty() && violation.rule.empty()) violation.rule = violation.expression;
    const bool named = !violation.rule.empty();
    const bool conflict = error.problem == &database::kConflict;
    if (violation.what == length || violation.what == words) {
      auto columns = co_await columns_to_blame(session, *change, violation, {});
      if (!columns) co_return std::unexpected(std::move(columns).error());
      for (auto column : longest(*change, std::move(*columns), violation.what == words))
        blame(error, table().columns[column], {}, "maxLength",
              violation.what == words
                  ? "has too many different words for the index of `q`: at most about 1 MiB of them, with those of the "
                    "other columns that `q` looks through"
                  : "is too long for an index of the database: at most about " +
                        std::to_string(database_.dialect().longest_indexed()) +
                        " bytes, with the other columns of the index");
    } else if (fields.empty() && (named || (!conflict && violation.what == other))) {
      auto columns = co_await columns_to_blame(session, *change, violation, database::reason_of(error));
      if (!columns) co_return std::unexpected(std::move(columns).error());
      for (auto column : *columns)
        if (violation.what == reference)
          blame_reference(error, table().columns[column], {});
        else
          blame(error, table().columns[column], {},
                conflict                  ? "unique"
                : violation.what == check ? "check"
                                          : "type",
                conflict                  ? "is taken already"
                : violation.what == check ? "breaks a rule"
                                          : "has the wrong type for its column");
    }
  }
  if (table().tenant) keep_tenants_apart(error, table());
  // What no column is to blame for is said of the whole row.
  if (fields.empty() && change && error.problem == &database::kConstraint)
    fields.push_back({"body", "", violation.what == check ? "check" : "constraint", "breaks a rule of the database"});
  for (auto& field : fields) field.pointer.insert(0, prefix);
  if (!fields.empty()) error.detail = summary(fields);
  co_return std::unexpected(std::move(error));
}

}  // namespace plimsoll::table
