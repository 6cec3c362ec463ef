#include "plimsoll/http/rows.hpp"

#include "plimsoll/json/write.hpp"

namespace plimsoll::http {
namespace {

/// A number as people write one, which no spreadsheet takes for a formula: `-12.5e3`.
bool plain_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c >= '0' && c <= '9')
      ++digits;
    else if (c != '.' && !(digits && (c == 'e' || c == 'E') && i + 1 < text.size()))
      return false;
  }
  return digits > 0;
}

void append_cell(std::string& out, const json::Value* value) {
  if (!value || value->is(json::Type::null)) return;
  if (value->is(json::Type::string)) return append_csv_text(out, value->string());
  append_csv_text(out, json::to_string(*value));
}

}  // namespace

void append_ndjson(std::string& out, const json::Value& row) { out.append(json::to_string(row)).append("\n"); }

void append_csv_text(std::string& out, std::string_view text) {
  const bool formula = !text.empty() && std::string_view("=+-@\t\r\n").find(text.front()) != std::string_view::npos &&
                       !plain_number(text);
  const bool quoted = formula || text.find_first_of("\",\r\n") != std::string_view::npos || text.starts_with(' ') ||
                      text.ends_with(' ');
  if (quoted) out += '"';
  if (formula) out += '\'';
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  if (quoted) out += '"';
}

void append_csv(std::string& out, const json::Value& row, std::span<const std::string_view> columns) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i) out += ',';
    append_cell(out, row.find(columns[i]));
  }
  out += "\r\n";
}

void append_csv_header(std::string& out, std::span<const std::string_view> columns) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i) out += ',';
    append_csv_text(out, columns[i]);
  }
  out += "\r\n";
}

Task<Result<Bytes>> RowStream::read() {
  piece_.clear();
  if (!begun_ && !columns_.empty()) append_csv_header(piece_, columns_);
  begun_ = true;
  while (!ended_ && piece_.size() < kPiece) {
    const auto row = co_await rows_.next();
    if (!row) co_return std::unexpected(row.error());
    ended_ = !*row;
    if (ended_) break;
    if (columns_.empty())
      append_ndjson(piece_, **row);
    else
      append_csv(piece_, **row, columns_);
  }
  co_return as_bytes(piece_);
}

}  // namespace plimsoll::http
