#include "plimsoll/http/csv.hpp"

#include <array>

namespace plimsoll::http {
namespace {

constexpr std::string_view kMark = "\xEF\xBB\xBF";

/// The bytes that mean something in a cell: those in quotes are a part of the others.
constexpr auto kMeaning = [] {
  std::array<std::uint8_t, 256> made{};
  for (const unsigned char c : {',', '\r'}) made[c] = 1;
  for (const unsigned char c : {'"', '\n'}) made[c] = 3;
  return made;
}();

/// How much of a text is plain.
std::size_t plain_part(std::string_view text, bool quoted) {
  const auto mask = static_cast<std::uint8_t>(quoted ? 2 : 1);
  std::size_t at = 0;
  while (at < text.size() && (kMeaning[static_cast<unsigned char>(text[at])] & mask) == 0) ++at;
  return at;
}

}  // namespace

CsvReader::State CsvReader::fail(std::string_view why, std::int64_t line) {
  why_ = why;
  row_line_ = line;
  return State::wrong;
}

void CsvReader::begin_row() {
  complete_ = false;
  text_.clear();
  spans_.clear();
  cells_.clear();
  cell_begin_ = 0;
  row_line_ = line_;
}

bool CsvReader::fits(std::size_t more) {
  if (text_.size() + more <= limits_.row) return true;
  fail("a row is longer than allowed", row_line_);
  return false;
}

bool CsvReader::end_cell() {
  if (spans_.size() >= limits_.cells) {
    fail("a row has more cells than allowed", row_line_);
    return false;
  }
  spans_.push_back({cell_begin_, text_.size(), quoted_});
  cell_begin_ = text_.size();
  quoted_ = false;
  at_ = At::begin_of_cell;
  return true;
}

/// False: the line has no character, and is no row.
bool CsvReader::end_row() {
  if (spans_.size() == 1 && !spans_[0].quoted && spans_[0].begin == spans_[0].end) {
    begin_row();
    return false;
  }
  for (const auto& span : spans_)
    cells_.push_back({std::string_view(text_).substr(span.begin, span.end - span.begin), span.quoted});
  complete_ = true;
  return true;
}

/// One character; false: something is wrong.
bool CsvReader::take(char c) {
  switch (at_) {
    case At::begin_of_cell:
      if (c == '"') {
        quoted_ = true;
        quote_line_ = line_;
        at_ = At::quoted;
        return true;
      }
      at_ = At::plain;
      [[fallthrough]];
    case At::plain:
      if (c == ',') return end_cell();
      if (c == '\n') return end_cell() && (++line_, end_row(), true);
      if (c == '\r') {
        at_ = At::carriage_return;
        return true;
      }
      if (c == '"') {
        fail("a quote inside of a cell that does not begin with one", line_);
        return false;
      }
      if (!fits(1)) return false;
      text_ += c;
      return true;
    case At::quoted:
      if (c == '"') {
        at_ = At::quote_in_quoted;
        return true;
      }
      if (!fits(1)) return false;
      line_ += c == '\n';
      text_ += c;
      return true;
    case At::quote_in_quoted:
      if (c == '"') {
        if (!fits(1)) return false;
        text_ += c;
        at_ = At::quoted;
        return true;
      }
      if (c == ',') return end_cell();
      if (c == '\n') return end_cell() && (++line_, end_row(), true);
      if (c == '\r') {
        at_ = At::carriage_return;
        return true;
      }
      fail("text behind the closing quote of a cell", line_);
      return false;
    case At::carriage_return:
      if (c == '\n') return end_cell() && (++line_, end_row(), true);
      fail("a line break that is neither CRLF nor LF", line_);
      return false;
  }
  return false;
}

CsvReader::State CsvReader::next() {
  if (!why_.empty()) return State::wrong;
  if (complete_) begin_row();
  while (!rest_.empty()) {
    if (!started_) {  // a byte order mark, whose bytes may come one by one
      if (rest_.front() == kMark[mark_]) {
        rest_.remove_prefix(1);
        started_ = ++mark_ == kMark.size();
        continue;
      }
      started_ = true;
      for (const char c : kMark.substr(0, mark_))
        if (!take(c)) return State::wrong;
    }
    // Most of a text is plain: it goes in one piece.
    if (at_ == At::plain || at_ == At::quoted) {
      const auto plain = plain_part(rest_, at_ == At::quoted);
      if (plain > 0) {
        if (!fits(plain)) return State::wrong;
        text_ += rest_.substr(0, plain);
        rest_.remove_prefix(plain);
        continue;
      }
    }
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (!take(c)) return State::wrong;
    if (complete_) return State::row;
  }
  if (!ended_) return State::more;
  if (!started_) {
    started_ = true;
    for (const char c : kMark.substr(0, mark_))
      if (!take(c)) return State::wrong;
  }
  if (at_ == At::quoted) return fail("a quote that is never closed", quote_line_);
  if (at_ == At::carriage_return) return fail("a line break that is neither CRLF nor LF", line_);
  if (at_ == At::begin_of_cell && spans_.empty()) return State::more;
  if (!end_cell()) return State::wrong;
  return end_row() ? State::row : State::more;
}

}  // namespace plimsoll::http
