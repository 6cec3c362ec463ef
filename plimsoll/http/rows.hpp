#pragma once

#include "plimsoll/http/message.hpp"
#include "plimsoll/json/value.hpp"

#include <span>
#include <string>
#include <string_view>

namespace plimsoll::http {

inline constexpr std::string_view kNdjson = "application/x-ndjson", kCsv = "text/csv; charset=utf-8; header=present";

/// Appends one line of newline-delimited JSON.
void append_ndjson(std::string& out, const json::Value& row);

/// Appends a cell of CSV (RFC 4180), quoted where it must be, and where it has a `;` or a tab, which part the columns
/// in some spreadsheets. Text that a spreadsheet would run as a formula gets a `'` in front (OWASP, CSV injection): its
/// first character behind blanks, control characters and byte order marks is `=`, `+`, `-` or `@`, in full width too,
/// or it begins with a tab or a line break. A plain number is none. An empty text is `""`.
void append_csv_text(std::string& out, std::string_view text);
/// Appends a value as a cell: null and absent are empty, numbers and booleans as in JSON, arrays and objects as JSON
/// text. `several_types`: the cell is read as JSON where it can be, so that a text which would be taken for another
/// value (`12`, `null`) is JSON text as well.
void append_csv_value(std::string& out, const json::Value* value, bool several_types);
/// Appends a row: the members of an object in the order of `columns`.
void append_csv(std::string& out, const json::Value& row, std::span<const std::string_view> columns);
/// Appends the line of names that begins the text.
void append_csv_header(std::string& out, std::span<const std::string_view> columns);

/// Where rows come from, one by one.
class Rows {
 public:
  virtual ~Rows() = default;
  /// The next row, good until the next call; null at the end.
  virtual Task<Result<const json::Value*>> next() = 0;
};

/// Rows as a body, gathered into pieces of 16 KiB so that not each row is a write of its own. For rows that are there;
/// what comes by and by is sent as events (http/sse.hpp).
class RowStream final : public Stream {
 public:
  /// `columns` empty: newline-delimited JSON; else CSV with these columns. `rows` and `columns` outlive the stream.
  RowStream(Rows& rows, std::span<const std::string_view> columns) : rows_(rows), columns_(columns) {}
  Task<Result<Bytes>> read() override;

 private:
  static constexpr std::size_t kPiece = 16 * 1024;
  Rows& rows_;
  std::span<const std::string_view> columns_;
  std::string piece_;
  bool begun_ = false, ended_ = false;
};

}  // namespace plimsoll::http
