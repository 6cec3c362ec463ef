#include "plimsoll/handler/table/import_rows.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>

namespace plimsoll::table {

using json::Value;

std::optional<ImportRows::Format> ImportRows::format_of(std::string_view media_type) {
  media_type = media_type.substr(0, media_type.find(';'));
  if (media_type == "text/csv") return Format::csv;
  if (media_type == "application/x-ndjson" || media_type == "application/ndjson" || media_type == "application/jsonl")
    return Format::ndjson;
  return std::nullopt;
}

void ImportRows::feed(std::string_view piece) {
  if (format_ == Format::csv)
    csv_.feed(piece);
  else
    rest_ = piece;
}

void ImportRows::end() {
  ended_ = true;
  csv_.end();
}

ImportRows::State ImportRows::wrong(State state, std::int64_t line, std::string why) {
  line_ = line;
  why_ = std::move(why);
  failed_ = state == State::wrong;
  count_ += state == State::wrong_row;
  return state;
}

ImportRows::State ImportRows::next(Arena& arena) {
  if (failed_) return State::wrong;
  const auto state = format_ == Format::csv ? next_csv(arena) : next_line(arena);
  if (state == State::row) row_ = sanitizer_.apply(row_, arena);
  return state;
}

ImportRows::State ImportRows::read_line(std::string_view line, Arena& arena) {
  auto value = json::parse(line, arena);
  if (!value) return wrong(State::wrong_row, lines_, "is not JSON: " + value.error().detail);
  row_ = *value;
  line_ = lines_;
  ++count_;
  return State::row;
}

ImportRows::State ImportRows::next_line(Arena& arena) {
  const auto blank = [](std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; };
  for (;;) {
    const auto end = rest_.find('\n');
    const auto size = held_.size() + std::min(end, rest_.size());
    if (size > kLongestRow) return wrong(State::wrong, lines_ + 1, "a row is longer than allowed");
    if (end == rest_.npos) {
      held_.append(rest_);
      rest_ = {};
      if (!ended_ || held_.empty()) return State::more;
      ++lines_;
      const auto line = arena.keep(held_);
      held_.clear();
      if (blank(line)) return State::more;
      return read_line(line, arena);
    }
    ++lines_;
    auto line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    if (!held_.empty()) {
      held_.append(line);
      line = arena.keep(held_);
      held_.clear();
    }
    if (!blank(line)) return read_line(line, arena);
  }
}

bool ImportRows::read_header() {
  header_ = true;
  for (const auto& cell : csv_.cells()) {
    const auto column = table_.column(cell.text);
    const auto shown = json::valid_utf8(cell.text) ? std::string(cell.text.substr(0, 100)) : std::string("?");
    if (!column) {
      wrong(State::wrong, csv_.line(), "the first line names \"" + shown + "\", and the table has no such column");
      return false;
    }
    if (std::ranges::find(columns_, *column) != columns_.end()) {
      wrong(State::wrong, csv_.line(), "the first line names \"" + shown + "\" twice");
      return false;
    }
    columns_.push_back(*column);
  }
  return true;
}

Value ImportRows::value_of(const Column& column, const http::CsvReader::Cell& cell, Arena& arena) const {
  const auto text = arena.keep(cell.text);
  const bool is_text = column.kind == Kind::text || column.kind == Kind::instant || column.kind == Kind::decimal;
  if (is_text) return Value::of(text);
  auto value = json::parse(text, arena);
  // What is no value of that type is told by whoever checks the row.
  if (!value || (column.kind != Kind::json && (value->is(json::Type::object) || value->is(json::Type::array))))
    return Value::of(text);
  return *value;
}

ImportRows::State ImportRows::next_csv(Arena& arena) {
  for (;;) {
    const auto state = csv_.next();
    if (state == http::CsvReader::State::more) return State::more;
    if (state == http::CsvReader::State::wrong) return wrong(State::wrong, csv_.line(), std::string(csv_.why()));
    if (!header_) {
      if (!read_header()) return State::wrong;
      continue;
    }
    const auto cells = csv_.cells();
    if (cells.size() != columns_.size())
      return wrong(State::wrong_row, csv_.line(),
                   "has " + std::to_string(cells.size()) + " cells, and the first line names " +
                       std::to_string(columns_.size()));
    auto* members = arena.array<json::Member>(cells.size());
    std::size_t size = 0;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (!json::valid_utf8(cells[i].text))
        return wrong(State::wrong_row, csv_.line(),
                     "has a cell that is not UTF-8: " + table_.columns[columns_[i]].name);
      if (cells[i].text.empty() && !cells[i].quoted) continue;
      auto& member = members[size++];
      member.key = table_.columns[columns_[i]].name;
      member.value = value_of(table_.columns[columns_[i]], cells[i], arena);
    }
    row_ = Value::object({members, size});
    line_ = csv_.line();
    ++count_;
    return State::row;
  }
}

}  // namespace plimsoll::table
