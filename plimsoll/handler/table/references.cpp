#include "plimsoll/handler/table/references.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

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

std::vector<GuardedReference> guarded_references(const Model& model, const Table& table, const ForeignKeys& keys) {
  std::vector<GuardedReference> all;
  const auto add = [&](GuardedReference made) {
    const auto same = [&](const GuardedReference& other) {
      return other.to == made.to && other.from == made.from && other.target == made.target;
    };
    if (std::ranges::none_of(all, same)) all.push_back(std::move(made));
  };
  for (auto& reference : references(model, table)) {
    const auto* to = model.find(reference.table);
    if (!to->owner && !to->tenant) continue;
    GuardedReference made{to, reference.columns, {}};
    for (auto key : to->keys) made.target.push_back(to->columns[key].name);
    add(std::move(made));
  }
  if (auto found = keys.of.find(table.name); found != keys.of.end())
    for (auto& key : found->second)
      if (auto made = known(model, table, key)) add(std::move(*made));
  return all;
}

}  // namespace plimsoll::table
