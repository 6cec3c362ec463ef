#include "plimsoll/handler/table/write.hpp"

#include <algorithm>
#include <map>

namespace plimsoll::table {

using database::Cell;
using database::Session;

namespace {

/// A foreign key as the database declares it: columns here, and those of the other table in the same order.
struct Reference {
  std::string table;
  std::vector<std::string> from, to;
};

Task<Result<std::vector<std::string>>> names(Session& session, std::string_view sql, std::string name) {
  const Cell cells[] = {std::move(name)};
  auto rows = co_await session.query(sql, cells);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::vector<std::string> found;
  for (auto& row : *rows) found.push_back(std::get<std::string>(row[0]));
  co_return found;
}

Task<Result<std::vector<Reference>>> references_of(Session& session, std::string table) {
  const Cell cells[] = {std::move(table)};
  auto rows =
      co_await session.query(R"(SELECT id,"table","from","to" FROM pragma_foreign_key_list(?) ORDER BY id,seq)", cells);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::map<std::int64_t, Reference> all;
  for (auto& row : *rows) {
    auto& reference = all[std::get<std::int64_t>(row[0])];
    reference.table = std::get<std::string>(row[1]);
    reference.from.push_back(std::get<std::string>(row[2]));
    if (auto* to = std::get_if<std::string>(&row[3])) reference.to.push_back(*to);
  }
  std::vector<Reference> found;
  for (auto& [id, reference] : all) {
    if (reference.to.empty()) {  // the primary key, unnamed
      auto key =
          co_await names(session, "SELECT name FROM pragma_table_info(?) WHERE pk>0 ORDER BY pk", reference.table);
      if (!key) co_return std::unexpected(std::move(key).error());
      reference.to = std::move(*key);
    }
    found.push_back(std::move(reference));
  }
  co_return found;
}

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

}  // namespace

Task<Result<std::vector<std::size_t>>> Writing::broken_references(Session& session, const Change& change) const {
  auto all = co_await references_of(session, table().name);
  if (!all) co_return std::unexpected(std::move(all).error());
  std::vector<std::size_t> broken;
  for (auto& reference : *all) {
    std::string sql = "SELECT 1 FROM " + quoted(reference.table) + " WHERE ";
    std::vector<Cell> cells;
    std::vector<std::size_t> columns;
    for (std::size_t i = 0; i < reference.from.size() && i < reference.to.size(); ++i) {
      const auto column = table().column(reference.from[i]);
      if (!column || !change.cells[*column] || change.cells[*column]->index() == 0) break;
      sql += (columns.empty() ? "" : " AND ") + quoted(reference.to[i]) + "=?";
      columns.push_back(*column);
      cells.push_back(*change.cells[*column]);
    }
    if (columns.size() != reference.from.size()) continue;  // with a null in it, or not all of this change
    auto found = co_await session.query(sql, cells);
    if (!found) co_return std::unexpected(std::move(found).error());
    if (found->empty()) broken.insert(broken.end(), columns.begin(), columns.end());
  }
  co_return broken;
}

Task<Result<Row>> Writing::explained(Session& session, Error error, const Change* change,
                                     std::string_view prefix) const {
  if (error.more_ && !error.more_->fields.empty()) {
    for (auto& field : error.more_->fields) field.pointer.insert(0, prefix);
    error.detail = summary(error.more_->fields);
  }
  if (error.problem != &database::kConstraint || !error.more_ || !error.more_->fields.empty())
    co_return std::unexpected(std::move(error));
  const std::string cause = error.more_->cause;
  // A rule without a name is told by its expression: the columns in it are to blame, and it stays inside.
  constexpr std::string_view kCheck = "CHECK constraint failed: ";
  if (change && cause.starts_with(kCheck))
    for (std::size_t i = 0; i < table().columns.size(); ++i)
      if (change->cells[i] && mentions(std::string_view(cause).substr(kCheck.size()), table().columns[i].name))
        blame(error, table().columns[i], prefix, "check", "breaks a rule");
  if (cause.find("FOREIGN KEY") == cause.npos) co_return std::unexpected(std::move(error));
  if (!change) {
    Error conflict{&database::kConflict, "Other rows still refer to this one."};
    co_return std::unexpected(std::move(conflict));
  }
  // SQLite does not say which reference is broken: look.
  auto broken = co_await broken_references(session, *change);
  if (!broken) co_return std::unexpected(std::move(broken).error());
  for (auto column : *broken)
    blame(error, table().columns[column], prefix, "foreign-key", "refers to a row that does not exist");
  co_return std::unexpected(std::move(error));
}

}  // namespace plimsoll::table
