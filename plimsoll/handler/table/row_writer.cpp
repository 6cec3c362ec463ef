#include "plimsoll/handler/table/row_writer.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/string_text.hpp"
#include "plimsoll/json/utf8.hpp"
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

/// Embedded rows as SQLite wrote them: it passes on what is not UTF-8, which must not make the document none.
void append_rows(std::string& out, std::string_view text) {
  if (json::valid_utf8(text)) {
    out += text;
    return;
  }
  for (std::size_t i = 0; i < text.size();) {
    const auto length = static_cast<unsigned char>(text[i]) < 0x80 ? 1 : json::utf8_length(text.substr(i));
    out += length ? text.substr(i, length) : std::string_view("\xEF\xBF\xBD");
    i += std::max<std::size_t>(length, 1);
  }
}

bool any_foreign(const Selection::Embedded& embedded) {
  return std::ranges::any_of(embedded.selection.columns,
                             [&](auto column) { return embedded.table->columns[column].foreign; }) ||
         std::ranges::any_of(embedded.selection.embeds, any_foreign);
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
  columns_.reserve(selection.columns.size() + 2 * selection.embeds.size());
  const auto add = [&](std::string_view name, Kind kind, bool absent_when_null,
                       const contract::MarkedPlace* inside) -> Column& {
    const auto begin = names_.size();
    json::append_string(names_ += ',', name);
    names_ += ':';
    columns_.push_back({.name_begin = static_cast<std::uint32_t>(begin),
                        .name_size = static_cast<std::uint32_t>(names_.size() - begin),
                        .kind = kind,
                        .absent_when_null = absent_when_null,
                        .hidden = hidden == Hidden::shown ? nullptr : inside});
    return columns_.back();
  };
  for (auto index : selection.columns) {
    const auto& column = table.columns[index];
    auto& added = add(column.name, column.kind, column.absent_when_null(), column.hidden);
    if (column.foreign) added.foreign = &column;
    foreign_ |= column.foreign;
  }
  if (hidden == Hidden::left_out) odd_ = table.odd.get();
  for (auto& embedded : selection.embeds) {
    const bool unsure = any_foreign(embedded);
    add(embedded.embed->name, Kind::json, false, hidden_in(embedded)).repaired = unsure;
    foreign_ |= unsure;
    if (embedded.embed->many()) add(embedded.embed->more, Kind::boolean, true, nullptr);  // there, and true, or absent
  }
  names_.append(json::kPadding, ' ');
  names_.shrink_to_fit();
  plain_ = !foreign_ && std::ranges::none_of(columns_, [](const auto& column) { return column.hidden != nullptr; });
}

std::size_t RowWriter::append(std::string& out, std::span<const database::Field> fields) const {
  if (plain_ && fields.size() >= columns_.size()) {
    append_plain(out, fields);
    return 0;
  }
  const auto start = out.size();
  std::size_t odd = 0;
  if (foreign_) {
    odd = append_foreign(out, fields);
  } else {
    append_own(out, fields);
  }
  if (out.size() == start)
    out += '{';
  else
    out[start] = '{';  // in place of the first member's comma
  out += '}';
  return odd;
}

std::size_t RowWriter::append_foreign(std::string& out, std::span<const database::Field> fields) const {
  std::size_t odd = 0;
  for (std::size_t i = 0; i < columns_.size() && i < fields.size(); ++i) {
    const auto& column = columns_[i];
    if (column.absent_when_null && fields[i].index() == 0) continue;
    out += before(column);
    const auto* text = std::get_if<std::string_view>(&fields[i]);
    if (text && column.hidden)
      append_shown(out, *column.hidden, *text);
    else if (text && column.repaired)
      append_rows(out, *text);
    else if (!column.foreign)
      append_json(out, column.kind, fields[i]);
    else if (!append_stored(out, *column.foreign, fields[i]))
      ++odd;
  }
  if (odd > 0 && odd_) odd_->add();
  return odd;
}

std::size_t RowWriter::room_of(const std::string& out, std::span<const database::Field> fields) const {
  const auto around = names_.size() + std::string_view("{}").size();
  auto room = around;
  for (std::size_t i = 0; i < columns_.size(); ++i) room += longest_room(fields[i]);
  if (room <= out.capacity() - out.size()) return room;
  room = around;
  for (std::size_t i = 0; i < columns_.size(); ++i) room += json_room(columns_[i].kind, fields[i]);
  return room;
}

void RowWriter::append_plain(std::string& out, std::span<const database::Field> fields) const {
  const auto start = out.size();
  out.resize_and_overwrite(start + room_of(out, fields), [&](char* begin, std::size_t) {
    auto* at = begin + start;
    const auto* field = fields.data();
    for (const auto& column : std::span(columns_)) {
      const auto& value = *field++;
      if (column.absent_when_null && value.index() == 0) continue;
      at = json::write_padded(at, before(column));
      at = write_json(at, column.kind, value);
    }
    if (at == begin + start) ++at;
    begin[start] = '{';  // in place of the first member's comma
    *at++ = '}';
    return static_cast<std::size_t>(at - begin);
  });
}

void RowWriter::append_own(std::string& out, std::span<const database::Field> fields) const {
  for (std::size_t i = 0; i < columns_.size() && i < fields.size(); ++i) {
    const auto& column = columns_[i];
    if (column.absent_when_null && fields[i].index() == 0) continue;
    out += before(column);
    if (const auto* text = column.hidden ? std::get_if<std::string_view>(&fields[i]) : nullptr)
      append_shown(out, *column.hidden, *text);
    else
      append_json(out, column.kind, fields[i]);
  }
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
