#pragma once

#include "plimsoll/http/csv.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What CSV must mean, for tests and for the fuzz target: a reader that sees the whole text at once, and the rule that
// the pieces in which a text comes change nothing.
namespace plimsoll::http::csv_check {

struct Row {
  std::vector<std::pair<std::string, bool>> cells;
  std::int64_t line;
  friend bool operator==(const Row&, const Row&) = default;
};
struct Reading {
  std::vector<Row> rows;
  bool wrong = false;
  std::string why{};
  std::int64_t line = 0;
  friend bool operator==(const Reading&, const Reading&) = default;
};

/// By the reader, in pieces of `size` bytes.
inline Reading read(std::string_view text, std::size_t size, CsvReader::Limits limits = {}) {
  CsvReader reader{limits};
  Reading all;
  const auto take = [&] {
    for (;;) {
      const auto state = reader.next();
      if (state == CsvReader::State::more) return true;
      if (state == CsvReader::State::wrong) {
        all.wrong = true;
        all.why = reader.why();
        all.line = reader.line();
        return false;
      }
      auto& row = all.rows.emplace_back(Row{{}, reader.line()});
      for (const auto& cell : reader.cells()) row.cells.emplace_back(cell.text, cell.quoted);
    }
  };
  for (; !text.empty(); text.remove_prefix(std::min(size, text.size()))) {
    reader.feed(text.substr(0, size));
    if (!take()) return all;
  }
  reader.end();
  take();
  return all;
}

/// The same grammar read plainly, with the whole text at hand; why and where a text is wrong it does not say.
inline Reading read_plainly(std::string_view text) {
  Reading all;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::size_t at = 0;
  std::int64_t line = 1;
  while (at < text.size()) {
    Row row{{}, line};
    for (bool ends = false; !ends;) {
      std::string cell;
      const bool quoted = at < text.size() && text[at] == '"';
      if (quoted) {
        for (++at;; ++at) {
          if (at >= text.size()) return all.wrong = true, all;
          if (text[at] == '"' && !(at + 1 < text.size() && text[at + 1] == '"')) break;
          if (text[at] == '"') ++at;
          line += text[at] == '\n';
          cell += text[at];
        }
        ++at;
      } else {
        while (at < text.size() && !std::string_view(",\r\n\"").contains(text[at])) cell += text[at++];
      }
      row.cells.emplace_back(cell, quoted);
      if (at >= text.size()) break;
      if (text[at] == ',') {
        ++at;
        continue;
      }
      if (text.substr(at).starts_with("\r\n")) ++at;
      if (text[at] != '\n') return all.wrong = true, all;
      ++at, ++line, ends = true;
    }
    if (row.cells.size() > 1 || row.cells[0].second || !row.cells[0].first.empty()) all.rows.push_back(row);
  }
  return all;
}

/// What is not as it should be; nothing: all is well.
inline std::optional<std::string> fault(std::string_view text) {
  const auto whole = read(text, text.size() + 1);
  const auto plainly = read_plainly(text);
  if (whole.wrong != plainly.wrong) return whole.wrong ? "refused: " + whole.why : "taken";
  if (!whole.wrong && whole.rows != plainly.rows) return "other rows";
  for (const std::size_t size : {1, 2, 3, 7})
    if (read(text, size) != whole) return "in pieces of " + std::to_string(size) + " bytes it is read otherwise";
  const CsvReader::Limits small{.row = 8, .cells = 3};
  for (const auto& row : read(text, 5, small).rows) {
    std::size_t bytes = 0;
    for (const auto& cell : row.cells) bytes += cell.first.size();
    if (bytes > small.row || row.cells.size() > small.cells) return "a row beyond the limits";
  }
  return std::nullopt;
}

}  // namespace plimsoll::http::csv_check
