#include "plimsoll/handler/table/write.hpp"

#include <algorithm>
#include <bit>
#include <map>

/// Several new rows of one request.
namespace plimsoll::table {

using database::Cell;
using database::Session;

namespace {

constexpr std::size_t kMostParameters = 20'000;  ///< of a statement; SQLite takes 32,766, PostgreSQL 65,535
constexpr std::size_t kMostRows = 512;           ///< of a statement

/// How many rows one statement stores: those that have values for the same columns as the first, `alike(i)`. Few
/// different numbers, whatever the sizes of batches: prepared statements are kept.
std::size_t rows_of_statement(const Table& table, std::size_t rows, auto alike) {
  const auto most = std::clamp<std::size_t>(kMostParameters / table.columns.size(), 1, kMostRows);
  std::size_t count = 1;
  while (count < std::min(most, rows) && alike(count)) ++count;
  return std::bit_floor(count);
}

bool same_columns(const Change& one, const Change& other) {
  return std::ranges::equal(one.cells, other.cells,
                            [](const auto& a, const auto& b) { return a.has_value() == b.has_value(); });
}

/// By its key a row is known again: no database promises in which order it returns them.
bool has_keys(const Table& table, std::span<const Change> rows) {
  return std::ranges::all_of(rows, [&](const auto& row) {
    return std::ranges::all_of(table.keys, [&](auto key) { return row.cells[key].has_value(); });
  });
}

/// It has been checked as it was sent. Others a trigger or a default of the database has changed, or they lack a value.
bool came_out_as_sent(const Table& table, const Change& sent, const Row& row) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    const auto& cell = sent.cells[i];
    const bool same =
        cell ? *cell == row[i] : std::holds_alternative<std::monostate>(row[i]) && !table.columns[i].required;
    if (!same) return false;
  }
  return true;
}

}  // namespace

Task<Result<>> Writing::insert_all(Session& session, const NewRows& rows, const Caller& caller, Became became) const {
  bool goes_on = true;
  const auto all = rows.changes.size();
  if (rows.valid) {
    auto stored = co_await insert_together(session, rows.changes, caller, rows.judged);
    if (!stored) co_return std::unexpected(std::move(stored).error());
    if (*stored) {
      for (std::size_t i = 0; i < all && goes_on; ++i) goes_on = became(i, std::move((**stored)[i]));
      co_return Result<>{};
    }
  }
  auto doubtful = co_await doubtful_rows(session, rows.changes, caller);
  if (!doubtful) co_return std::unexpected(std::move(doubtful).error());
  for (std::size_t i = 0; i < all && goes_on;) {
    auto end = i;
    while (end < all && !(*doubtful)[end]) ++end;
    auto stored = co_await insert_together(session, rows.changes.subspan(i, end - i), caller, rows.judged);
    if (!stored) co_return std::unexpected(std::move(stored).error());
    for (std::size_t j = 0; *stored && j < (*stored)->size() && goes_on; ++j)
      goes_on = became(i++, std::move((**stored)[j]));
    for (; i < std::min(end + 1, all) && goes_on; ++i) {
      const auto prefix = rows.prefix(i);
      auto row = co_await alone(session, insert(session, rows.changes[i], caller, prefix));
      goes_on = became(i, std::move(row));
    }
  }
  co_return Result<>{};
}

Task<Result<std::optional<std::vector<Row>>>> Writing::insert_together(Session& session,
                                                                       std::span<const Change> changes,
                                                                       const Caller& caller, bool judged) const {
  using Rows = std::optional<std::vector<Row>>;
  if (changes.size() < 2 || !has_keys(table(), changes)) co_return Rows{};
  auto seen = co_await sees_all(session, changes, caller);
  if (!seen) co_return std::unexpected(std::move(seen).error());
  if (!*seen) co_return Rows{};
  auto nested = co_await session.query("SAVEPOINT together", {});
  if (!nested) co_return std::unexpected(std::move(nested).error());
  Rows stored{std::in_place};
  while (stored && stored->size() < changes.size()) {
    const auto rest = changes.subspan(stored->size());
    const auto count =
        rows_of_statement(table(), rest.size(), [&](std::size_t i) { return same_columns(rest[0], rest[i]); });
    auto well = co_await insert_alike(session, rest.first(count), *stored, judged);
    if (!well) co_return std::unexpected(std::move(well).error());
    if (!*well) stored.reset();
  }
  if (auto ended = co_await end_savepoint(session, "together", stored.has_value()); !ended)
    co_return std::unexpected(std::move(ended).error());
  co_return stored;
}

Task<Result<bool>> Writing::insert_alike(Session& session, std::span<const Change> changes, std::vector<Row>& stored,
                                         bool judged) const {
  std::vector<std::span<const std::optional<Cell>>> cells;
  for (const auto& change : changes) cells.emplace_back(change.cells);
  const auto statement = insert_rows_statement(database_.dialect(), table(), cells, forms_->all);
  auto rows = co_await session.query(statement.sql, statement.cells);
  if (!rows && rows.error().problem->status >= 500) co_return std::unexpected(std::move(rows).error());
  if (!rows || rows->size() != changes.size()) co_return false;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto& row = (*rows)[i];
    if (!std::ranges::all_of(table().keys, [&](auto key) { return *changes[i].cells[key] == row[key]; }))
      co_return false;
    if (!(judged && came_out_as_sent(table(), changes[i], row)) && !check(row, nullptr, "")) co_return false;
    stored.push_back(std::move(row));
  }
  co_return true;
}

Task<Result<std::vector<bool>>> Writing::doubtful_rows(Session& session, std::span<const Change> changes,
                                                       const Caller& caller) const {
  std::vector<bool> doubtful(changes.size(), true);
  if (changes.size() < 2 || !has_keys(table(), changes)) co_return doubtful;
  auto refers = co_await refer_to_rows(session, changes, caller);
  if (!refers) co_return std::unexpected(std::move(refers).error());
  std::map<std::vector<Cell>, std::size_t> by_key;
  std::vector<std::size_t> tried;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    std::vector<Cell> key;
    for (const auto column : table().keys) key.push_back(*changes[i].cells[column]);
    if ((*refers)[i] && check_sent(changes[i], {}) && by_key.emplace(std::move(key), i).second) tried.push_back(i);
  }
  auto nested = co_await session.query("SAVEPOINT together", {});
  if (!nested) co_return std::unexpected(std::move(nested).error());
  for (std::span<const std::size_t> rest{tried}; !rest.empty();) {
    const auto count = rows_of_statement(
        table(), rest.size(), [&](std::size_t i) { return same_columns(changes[rest[0]], changes[rest[i]]); });
    std::vector<std::span<const std::optional<Cell>>> cells;
    for (const auto i : rest.first(count)) cells.emplace_back(changes[i].cells);
    rest = rest.subspan(count);
    const auto statement =
        insert_rows_statement(database_.dialect(), table(), cells, forms_->keys, database::Insert::Taken::left_out);
    auto rows = co_await session.query(statement.sql, statement.cells);
    // Not every table takes such a statement: PostgreSQL refuses it beside rules and deferrable constraints.
    if (!rows && rows.error().problem->status >= 500 && rows.error().problem != &kInternal)
      co_return std::unexpected(std::move(rows).error());
    if (!rows) break;
    for (const auto& key : *rows)
      if (const auto found = by_key.find(key); found != by_key.end()) doubtful[found->second] = false;
  }
  if (auto ended = co_await end_savepoint(session, "together", false); !ended)
    co_return std::unexpected(std::move(ended).error());
  co_return doubtful;
}

}  // namespace plimsoll::table
