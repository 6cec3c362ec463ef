#include "plimsoll/handler/table/row_writer.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::table {

namespace {

/// A JSON value without the members that are never shown; one that cannot be read is not shown at all.
void append_shown(std::string& out, const contract::MarkedPlace& hidden, std::string_view text) {
  Arena arena{4096};
  const auto value = json::parse(text, arena);
  if (value && !contract::has_marked(hidden, *value)) {
    out += text;
    return;
  }
  const auto shown = value ? contract::without_marked(hidden, *value, arena) : std::nullopt;
  out += shown ? json::to_string(*shown) : "null";
}

}  // namespace

/// Embedded rows come as one JSON value: what their columns hide is hidden in it.
const contract::MarkedPlace* RowWriter::hidden_in(const Selection::Embedded& embedded) {
  contract::MarkedPlace row{.below = true};
  for (const auto index : embedded.selection.columns)
    if (const auto& column = embedded.table->columns[index]; column.hidden)
      row.members.emplace_back(column.name, column.hidden);
  for (const auto& inner : embedded.selection.embeds)
    if (const auto* hidden = hidden_in(inner)) row.members.emplace_back(inner.embed->name, hidden);
  if (row.members.empty()) return nullptr;
  std::ranges::sort(row.members);
  const auto* one = places_.emplace_back(std::make_unique<contract::MarkedPlace>(std::move(row))).get();
  if (!embedded.embed->many()) return one;
  return places_
      .emplace_back(std::make_unique<contract::MarkedPlace>(contract::MarkedPlace{.below = true, .items = one}))
      .get();
}

RowWriter::RowWriter(const Table& table, const Selection& selection, Hidden hidden) {
  const auto add = [&](std::string_view name, Kind kind, bool absent_when_null, const contract::MarkedPlace* inside) {
    std::string before = ",";
    json::append_string(before, name);
    columns_.push_back({before + ":", kind, absent_when_null, hidden == Hidden::shown ? nullptr : inside});
  };
  for (auto index : selection.columns) {
    const auto& column = table.columns[index];
    add(column.name, column.kind, column.absent_when_null(), column.hidden);
  }
  for (auto& embedded : selection.embeds) {
    add(embedded.embed->name, Kind::json, false, hidden_in(embedded));
    if (embedded.embed->many()) add(embedded.embed->more, Kind::boolean, true, nullptr);  // there, and true, or absent
  }
}

void RowWriter::append(std::string& out, std::span<const database::Field> fields) const {
  const auto start = out.size();
  for (std::size_t i = 0; i < columns_.size() && i < fields.size(); ++i) {
    const auto& column = columns_[i];
    if (column.absent_when_null && fields[i].index() == 0) continue;
    out += column.before;
    if (const auto* text = column.hidden ? std::get_if<std::string_view>(&fields[i]) : nullptr)
      append_shown(out, *column.hidden, *text);
    else
      append_json(out, column.kind, fields[i]);
  }
  if (out.size() == start)
    out += '{';
  else
    out[start] = '{';  // in place of the first member's comma
  out += '}';
}

std::string to_json(const RowWriter& writer, const std::vector<database::Cell>& row) {
  std::vector<database::Field> fields;
  fields.reserve(row.size());
  for (auto& cell : row)
    std::visit(
        [&]<class T>(const T& value) {
          if constexpr (std::is_same_v<T, std::string>)
            fields.emplace_back(std::string_view(value));
          else
            fields.emplace_back(value);
        },
        cell);
  std::string out;
  writer.append(out, fields);
  return out;
}

}  // namespace plimsoll::table
