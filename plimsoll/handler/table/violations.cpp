#include "plimsoll/handler/table/write.hpp"

#include <algorithm>

namespace plimsoll::table {

using database::Cell;
using database::Session;

namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

/// Whether a name stands in an expression as a word of its own.
bool mentions(std::string_view expression, std::string_view name) {
  for (auto at = expression.find(name); at != expression.npos; at = expression.find(name, at + 1)) {
    const auto end = at + name.size();
    if ((at == 0 || !is_word(expression[at - 1])) && (end == expression.size() || !is_word(expression[end])))
      return true;
  }
  return false;
}

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
  if (fields.size() > 1) std::erase_if(fields, [&](auto& field) { return field.pointer == tenant; });
  for (auto& field : fields)
    if (field.keyword == "unique") field.message = "cannot be used: choose another value";
  error.detail = fields.empty() ? "The change cannot be made." : summary(fields);
}

/// The same of a row that does not exist and of one that the caller does not see.
void blame_reference(Error& error, const Column& column, std::string_view prefix) {
  blame(error, column, prefix, "foreign-key", "refers to a row that does not exist");
}

}  // namespace

Task<Result<std::vector<std::size_t>>> Writing::broken_references(Session& session, const Change& change,
                                                                  const Row* before) const {
  auto all = co_await database_.dialect().foreign_keys(session, table().name);
  if (!all) co_return std::unexpected(std::move(all).error());
  std::vector<std::size_t> broken;
  for (auto& reference : *all) {
    std::vector<Named> values;
    std::vector<std::size_t> columns;
    bool changes = false;
    for (std::size_t i = 0; i < reference.from.size() && i < reference.to.size(); ++i) {
      const auto column = table().column(reference.from[i]);
      if (!column || (!change.cells[*column] && !before)) break;
      const auto& cell = change.cells[*column] ? *change.cells[*column] : (*before)[*column];
      if (cell.index() == 0) break;
      changes |= change.cells[*column].has_value();
      columns.push_back(*column);
      values.push_back({reference.to[i], &table().columns[*column], cell});
    }
    if (!changes || columns.size() != reference.from.size()) continue;  // it has a null in it, or a column not known
    const auto statement = there_statement(database_.dialect(), reference.table, values);
    auto found = co_await session.query(statement.sql, statement.cells);
    if (!found) co_return std::unexpected(std::move(found).error());
    if (!found->empty() || refers_to_itself(table(), reference, change)) continue;
    // The tenant is the caller's, whatever is referred to.
    if (columns.size() > 1) std::erase_if(columns, [&](auto column) { return column == table().tenant; });
    broken.insert(broken.end(), columns.begin(), columns.end());
  }
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

Task<Result<>> Writing::check_references(Session& session, const Change& change, const Row* before,
                                         const Caller& caller, std::string_view prefix) const {
  std::vector<std::size_t> broken;
  for (auto& reference : guarded_) {
    auto values = new_reference(reference, change, before, caller);
    if (!values) continue;
    std::vector<Named> named;
    for (std::size_t i = 0; i < values->size(); ++i)
      named.push_back({reference.target[i], &table().columns[reference.from[i]], std::move((*values)[i])});
    const auto statement = visible_statement(database_.dialect(), *reference.to, named, caller);
    if (statement) {
      auto rows = co_await session.query(statement->sql, statement->cells);
      if (!rows) co_return std::unexpected(std::move(rows).error());
      if (!rows->empty()) continue;
    }
    broken.insert(broken.end(), reference.from.begin(), reference.from.end());
  }
  if (broken.empty()) co_return Result<>{};
  // All that is broken is told at once, so that others' rows change nothing of the answer.
  auto others = co_await broken_references(session, change, before);
  if (!others) co_return std::unexpected(std::move(others).error());
  broken.insert(broken.end(), others->begin(), others->end());
  std::ranges::sort(broken);
  const auto repeated = std::ranges::unique(broken);
  broken.erase(repeated.begin(), repeated.end());
  Error error{&database::kConstraint};
  for (auto column : broken) blame_reference(error, table().columns[column], prefix);
  co_return std::unexpected(std::move(error));
}

Task<Result<Row>> Writing::explained(Session& session, Error error, const Change* change, const Row* before,
                                     std::string_view prefix) const {
  if (table().tenant && error.problem == &database::kConflict && error.more_) keep_tenants_apart(error, table());
  if (error.more_ && !error.more_->fields.empty()) {
    // The tenant is the caller's, whatever is referred to.
    if (table().tenant && error.more_->fields.size() > 1)
      std::erase_if(error.more_->fields, [&](auto& field) {
        return field.keyword == "foreign-key" && field.pointer == "/" + table().columns[*table().tenant].name;
      });
    for (auto& field : error.more_->fields) field.pointer.insert(0, prefix);
    error.detail = summary(error.more_->fields);
  }
  if (error.problem != &database::kConstraint || !error.more_) co_return std::unexpected(std::move(error));
  using enum database::Violation::What;
  const auto violation = database_.dialect().violation_of(error);
  if (violation.what == reference && !change) {
    Error conflict{&database::kConflict, "Other rows still refer to this one."};
    co_return std::unexpected(std::move(conflict));
  }
  if (!error.more_->fields.empty()) co_return std::unexpected(std::move(error));
  // A rule without a name is told by its expression: the columns in it are to blame, and it stays inside.
  if (change && violation.what == check)
    for (std::size_t i = 0; i < table().columns.size(); ++i)
      if (const auto& column = table().columns[i];
          change->cells[i] && (mentions(violation.expression, column.name) ||
                               std::ranges::find(column.checks, violation.rule) != column.checks.end()))
        blame(error, table().columns[i], prefix, "check", "breaks a rule");
  if (violation.what != reference) co_return std::unexpected(std::move(error));
  // The database does not say which reference is broken: look.
  auto broken = co_await broken_references(session, *change, before);
  if (!broken) co_return std::unexpected(std::move(broken).error());
  for (auto column : *broken) blame_reference(error, table().columns[column], prefix);
  co_return std::unexpected(std::move(error));
}

}  // namespace plimsoll::table
