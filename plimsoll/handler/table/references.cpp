#include "plimsoll/handler/table/references.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

using database::Cell;
using database::Session;

Task<Result<std::vector<std::string>>> names(Session& session, std::string_view sql, std::string name) {
  const Cell cells[] = {std::move(name)};
  auto rows = co_await session.query(sql, cells);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::vector<std::string> found;
  for (auto& row : *rows) found.push_back(std::get<std::string>(row[0]));
  co_return found;
}

/// As the columns of the model know it; nothing where it has columns that the contract does not.
std::optional<GuardedReference> known(const Model& model, const Table& table, const ForeignKey& key) {
  auto* to = model.find(key.table);
  if (!to || (!to->owner && !to->tenant) || key.from.size() != key.to.size()) return std::nullopt;
  GuardedReference made{to, {}, {}};
  for (std::size_t i = 0; i < key.from.size(); ++i) {
    const auto from = table.column(key.from[i]);
    if (!from) return std::nullopt;
    // The tenant is a condition of its own.
    if (from == table.tenant && to->tenant && key.to[i] == to->columns[*to->tenant].name && key.from.size() > 1)
      continue;
    made.from.push_back(*from);
    made.target.push_back(key.to[i]);
  }
  return made;
}

}  // namespace

Task<Result<std::vector<ForeignKey>>> foreign_keys(Session& session, std::string table) {
  const Cell cells[] = {std::move(table)};
  auto rows =
      co_await session.query(R"(SELECT id,"table","from","to" FROM pragma_foreign_key_list(?) ORDER BY id,seq)", cells);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::map<std::int64_t, ForeignKey> all;
  for (auto& row : *rows) {
    auto& key = all[std::get<std::int64_t>(row[0])];
    key.table = std::get<std::string>(row[1]);
    key.from.push_back(std::get<std::string>(row[2]));
    if (auto* to = std::get_if<std::string>(&row[3])) key.to.push_back(*to);
  }
  std::vector<ForeignKey> found;
  for (auto& [id, key] : all) {
    if (key.to.empty()) {  // the primary key, unnamed
      auto primary = co_await names(session, "SELECT name FROM pragma_table_info(?) WHERE pk>0 ORDER BY pk", key.table);
      if (!primary) co_return std::unexpected(std::move(primary).error());
      key.to = std::move(*primary);
    }
    found.push_back(std::move(key));
  }
  co_return found;
}

std::vector<GuardedReference> guarded_references(const Model& model, const Table& table, const ForeignKeys& keys) {
  std::vector<GuardedReference> all;
  const auto add = [&](GuardedReference made) {
    const auto same = [&](const GuardedReference& other) {
      return other.to == made.to && other.from == made.from && other.target == made.target;
    };
    if (std::ranges::none_of(all, same)) all.push_back(std::move(made));
  };
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    for (auto* to : all_references(model, table, i))
      if (to->owner || to->tenant) add({to, {i}, {to->key_column().name}});
  if (auto found = keys.of.find(table.name); found != keys.of.end())
    for (auto& key : found->second)
      if (auto made = known(model, table, key)) add(std::move(*made));
  return all;
}

}  // namespace plimsoll::table
