#pragma once

#include "plimsoll/contract/sanitize.hpp"
#include "plimsoll/handler/table/declaration.hpp"
#include "plimsoll/http/csv.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

/// Rows of an import as they arrive, in pieces of any size: it holds one of them. NDJSON: a JSON object in each line.
/// CSV: the first line names members, and each cell is a value of its member's type: what is empty is not sent, `""`
/// is an empty text, and members of other types than text are written as in JSON.
class ImportRows {
 public:
  static constexpr std::size_t kLongestRow = 1 << 20;  ///< bytes

  enum class Format : std::uint8_t { ndjson, csv };
  enum class State : std::uint8_t {
    row,        ///< `take` has the next one
    wrong_row,  ///< it cannot be read, `why` says why; others follow
    more,       ///< what was fed is used up
    wrong,      ///< nothing more can be read, `why` says why
  };
  /// The media type, without parameters, as it is in a request. Nothing: another one.
  static std::optional<Format> format_of(std::string_view media_type);

  /// The sanitizer of a row outlives this.
  ImportRows(const Table& table, Format format, const contract::Sanitizer& sanitizer)
      : table_(table), format_(format), sanitizer_(sanitizer), csv_({.row = kLongestRow, .cells = 1'000}) {}

  /// `piece` stays where it is until `next` has given `more`.
  void feed(std::string_view piece);
  void end();
  /// Of the arena is what the row is made of.
  State next(Arena& arena);
  const json::Value& row() const { return row_; }
  std::int64_t line() const { return line_; }  ///< where the row begins, or what is wrong was found, from 1
  /// Rows so far, this one included.
  std::int64_t count() const { return count_; }
  std::string_view why() const { return why_; }

 private:
  State next_line(Arena& arena);
  State next_csv(Arena& arena);
  State read_line(std::string_view line, Arena& arena);
  State wrong(State state, std::int64_t line, std::string why);
  bool read_header();
  json::Value value_of(const Column& column, const http::CsvReader::Cell& cell, Arena& arena) const;

  const Table& table_;
  const Format format_;
  const contract::Sanitizer& sanitizer_;
  http::CsvReader csv_;
  std::vector<std::size_t> columns_;  ///< of the cells of CSV
  bool header_ = false;
  std::string_view rest_;
  std::string held_;  ///< the beginning of a line whose end has not come yet
  bool ended_ = false, failed_ = false;
  std::int64_t lines_ = 0, line_ = 0, count_ = 0;
  json::Value row_;
  std::string why_;
};

}  // namespace plimsoll::table
