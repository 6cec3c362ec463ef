#include "plimsoll/handler/table/merge.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

std::string place_of(const contract::Contract& contract, const json::Value* at) {
  const auto file = contract::file_of(contract.files, at);
  return at && at->position().line ? file + ":" + std::to_string(at->position().line) : file;
}

std::string name_at(const Table& table, std::optional<std::size_t> column) {
  return column ? table.columns[*column].name : std::string{};
}

/// One table, declared by two contracts.
class Pair {
 public:
  Pair(Table& into, const contract::Contract& first, const Table& from, const contract::Contract& second,
       contract::Complaints& complaints)
      : into_(into), first_(first), from_(from), second_(second), complaints_(complaints) {}

  void merge() {
    const auto before = complaints_.size();
    same("key", into_.names_of(into_.keys), from_.names_of(from_.keys));
    same("owner", name_at(into_, into_.owner), name_at(from_, from_.owner));
    same("tenant", name_at(into_, into_.tenant), name_at(from_, from_.tenant));
    if (into_.key_in_tenant != from_.key_in_tenant && complaints_.size() == before)
      contradict("keys are unique within the tenant in one of them and over all tenants in the other", from_.at,
                 into_.at);
    if (!into_.search.empty() && !from_.search.empty())
      same("search", into_.names_of(into_.search), from_.names_of(from_.search));
    for (const auto& column : from_.columns) {
      const auto known = into_.column(column.name);
      if (known && into_.columns[*known].kind != column.kind)
        contradict("column \"" + column.name + "\" is " + std::string(name_of(column.kind)) + " there and " +
                       std::string(name_of(into_.columns[*known].kind)) + " in the other",
                   column.schema, into_.columns[*known].schema);
    }
    for (const auto& file : from_.files)
      if (const auto* known = into_.file(file.name)) {
        const auto of = [](const FileColumns& one) {
          return one.bytes.name + ", " + one.digest.name + ", " + one.type.name +
                 (one.file_name ? ", " + one.file_name->name : "") + (one.size ? ", " + one.size->name : "");
        };
        same("files", of(*known), of(file));
      }
    if (complaints_.size() > before) return;
    add_columns();
    add_uses();
  }

 private:
  void contradict(const std::string& what, const json::Value* at, const json::Value* other) {
    complaints_.push_back(
        {.code = "versions-disagree",
         .file = contract::file_of(second_.files, at),
         .at = at ? at->position() : json::Position{},
         .pointer = from_.pointer,
         .what = "table \"" + from_.name + "\" is also declared at " + place_of(first_, other) + ", and " + what,
         .remedy = "All contracts share one database. Declare the table alike in both, or give one "
                   "of them a table of another name (a view, for example)."});
  }
  void same(std::string_view what, const std::string& one, const std::string& other) {
    if (one == other) return;
    const auto shown = [](const std::string& name) { return name.empty() ? std::string("none") : "\"" + name + "\""; };
    contradict("its `" + std::string(what) + "` is " + shown(other) + " there and " + shown(one) + " in the other",
               from_.at, into_.at);
  }

  void add_columns() {
    for (auto& column : into_.columns)
      if (const auto known = from_.column(column.name))
        column.required = column.required && from_.columns[*known].required;
      else
        column.required = false;
    for (const auto& column : from_.columns)
      if (!into_.column(column.name)) into_.columns.emplace_back(column).required = false;
  }

  /// What indexes and foreign keys follow from.
  void add_uses() {
    const auto here = [&](std::size_t column) { return *into_.column(from_.columns[column].name); };
    for (const auto& filter : from_.filters) {
      const auto column = here(filter.column);
      const auto known = std::ranges::find(into_.filters, column, &Filter::column);
      auto& kept = known != into_.filters.end() ? *known : into_.filters.emplace_back(column, std::vector<Operator>{});
      for (const auto one : filter.operators)
        if (!kept.has(one)) kept.operators.push_back(one);
    }
    for (const auto sort : from_.sort)
      if (std::ranges::find(into_.sort, here(sort)) == into_.sort.end()) into_.sort.push_back(here(sort));
    const auto add_lists = [&](auto& into, const auto& from) {
      for (auto columns : from) {
        for (auto& column : columns) column = here(column);
        if (std::ranges::find(into, columns) == into.end()) into.push_back(std::move(columns));
      }
    };
    add_lists(into_.unique, from_.unique);
    add_lists(into_.indexes, from_.indexes);
    for (const auto& file : from_.files)
      if (!into_.file(file.name)) into_.files.push_back(file);
    if (into_.search.empty())
      for (const auto column : from_.search) into_.search.push_back(here(column));
    for (const auto& embed : from_.embeds)
      if (std::ranges::none_of(into_.embeds, [&](const Embed& known) {
            return known.table == embed.table && known.on == embed.on && known.by == embed.by;
          }))
        into_.embeds.push_back(embed);
  }

  Table& into_;
  const contract::Contract& first_;
  const Table& from_;
  const contract::Contract& second_;
  contract::Complaints& complaints_;
};

}  // namespace

void Merged::add(const Model& other, const contract::Contract& contract, contract::Complaints& complaints) {
  for (const auto& table : other.tables) {
    const auto [known, fresh] = model.places.try_emplace(table.name, model.tables.size());
    if (fresh) {
      model.tables.push_back(table);
      first.emplace(table.name, &contract);
    } else {
      for (const auto& column : table.columns)
        if (!model.tables[known->second].column(column.name)) later.try_emplace({table.name, column.name}, &contract);
      Pair{model.tables[known->second], *first.find(table.name)->second, table, contract, complaints}.merge();
    }
  }
}

void Merged::finish() {
  model.references.clear();
  model.referrers.clear();
  note_references(model);
}

}  // namespace plimsoll::table
