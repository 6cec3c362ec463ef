#include "plimsoll/http/rows.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::http {
namespace {

/// A number as people write one, which no spreadsheet takes for a formula: `-12.5e-3`.
bool plain_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c >= '0' && c <= '9') {
      ++digits;
    } else if (digits && (c == 'e' || c == 'E') && i + 1 < text.size()) {
      const auto power = text.substr(i + (text[i + 1] == '-' || text[i + 1] == '+' ? 2 : 1));
      return !power.empty() && power.find_first_not_of("0123456789") == std::string_view::npos;
    } else if (c != '.') {
      return false;
    }
  }
  return digits > 0;
}

/// The length of what stands at the beginning of a text and is not seen: blanks of any alphabet, control characters,
/// byte order marks, characters without a width. 0: none does. Spreadsheets strip some of them before they look for a
/// formula, so all of them are passed over.
std::size_t unseen(std::string_view text) {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto first = at(0);
  if (text.empty()) return 0;
  if (first <= 0x20 || first == 0x7F) return 1;
  if (first == 0xC2) return (at(1) >= 0x80 && at(1) <= 0xA0) || at(1) == 0xAD ? 2 : 0;  // C1, NBSP, soft hyphen
  const auto three = first << 16 | at(1) << 8 | at(2);
  const bool spaces = three >= 0xE28080 && three <= 0xE2808F;  // U+2000 to U+200F
  const bool others = (three >= 0xE280A8 && three <= 0xE280AF) || (three >= 0xE2819F && three <= 0xE281AF);
  constexpr unsigned kSingle[] = {0xE19A80, 0xE1A08E, 0xE38080, 0xEFBBBF};  // U+1680, U+180E, U+3000, U+FEFF
  return spaces || others || std::ranges::find(kSingle, three) != std::end(kSingle) ? 3 : 0;
}

/// Whether a spreadsheet may run the text: `=`, `+`, `-` or `@`, or one of them in full width, is the first character
/// that is seen; or a tab or a line break is the first of all.
bool is_formula(std::string_view text) {
  if (text.empty() || plain_number(text)) return false;
  if (std::string_view("\t\r\n").contains(text.front())) return true;
  while (const auto length = unseen(text)) text.remove_prefix(length);
  if (text.empty()) return false;
  if (std::string_view("=+-@").contains(text.front())) return true;
  constexpr std::string_view kWide[] = {"\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D", "\xEF\xBC\xA0"};
  return std::ranges::any_of(kWide, [&](auto wide) { return text.starts_with(wide); });
}

}  // namespace

void append_ndjson(std::string& out, const json::Value& row) { out.append(json::to_string(row)).append("\n"); }

void append_csv_text(std::string& out, std::string_view text) {
  const bool formula = is_formula(text);
  // `;` and tab part the columns in spreadsheets of other countries.
  const bool quoted = text.empty() || formula || text.find_first_of("\",;\t\r\n") != std::string_view::npos ||
                      text.starts_with(' ') || text.ends_with(' ');
  if (quoted) out += '"';
  if (formula) out += '\'';
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  if (quoted) out += '"';
}

void append_csv_value(std::string& out, const json::Value* value, bool several_types) {
  if (!value || value->is(json::Type::null)) return;
  if (value->is(json::Type::string)) {
    Arena arena;
    const bool as_json = several_types && json::parse(value->string(), arena).has_value();
    return append_csv_text(out, as_json ? json::to_string(*value) : value->string());
  }
  const auto text = json::to_string(*value);
  if (value->is(json::Type::number))
    out += text;  // a number stays one, whatever it begins with
  else
    append_csv_text(out, text);
}

void append_csv(std::string& out, const json::Value& row, std::span<const std::string_view> columns) {
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i) out += ',';
    append_csv_value(out, row.find(columns[i]), false);
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
