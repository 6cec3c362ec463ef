#pragma once

#include "plimsoll/handler/table/cursor.hpp"
#include "plimsoll/handler/table/row_writer.hpp"
#include "plimsoll/handler/table/statement.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::table {

/// Takes a page: the rows as JSON, and the values of the first and the last for cursors. A page ends early with the row
/// that would make it larger than `bytes`. The rows are written once, into the text of the response: behind `head`,
/// with a comma between two.
class PageRows final : public database::RowSink {
 public:
  PageRows(const RowWriter& writer, std::vector<std::size_t> sort_places, std::size_t limit, std::size_t bytes,
           std::string_view head = {})
      : text(head), writer_(writer), places_(std::move(sort_places)), limit_(limit), bytes_(bytes), head_(head.size()) {
    ends.reserve(std::min(limit, kReservedRows));
  }

  /// The cursors to both ends of the page count as its bytes too. `keys`: which of the values at the sort places are
  /// the key.
  void count_cursors(std::vector<std::size_t> keys) { keys_ = std::move(keys); }

  /// There are more rows, and this page has no room for the next of them, which is not known.
  void end_early() {
    more = true;
    beyond.clear();
  }
  /// What a read has given so far, to which another can go back.
  struct Mark {
    std::size_t rows, text;
    std::vector<database::Cell> last;
  };
  Mark mark() const { return {ends.size(), text.size(), last}; }
  void rewind(const Mark& to) {
    kept_rows_ = to.rows;
    kept_text_ = to.text;
    kept_last_ = to.last;
    begin();
  }
  /// What comes now belongs behind what is there.
  void next_range() {
    kept_rows_ = ends.size();
    kept_text_ = text.size();
    kept_last_ = last;
  }
  void begin() override {
    text.resize(kept_text_);
    ends.resize(kept_rows_);
    if (ends.empty()) first.clear();
    last = kept_last_;
    beyond.clear();
    more = false;
  }
  bool row(std::span<const database::Field> fields) override {
    if (ends.size() == limit_) return end_before(fields);
    const auto begin = text.size();
    if (!ends.empty()) text += ',';
    writer_.append(text, fields);
    if (size() > bytes_) {
      text.resize(begin);
      return end_before(fields);
    }
    if (!keys_.empty() && !ends.empty()) [[unlikely]] {
      remember(beyond, fields);
      if (size() + cursor_size(first, keys_) + cursor_size(beyond, keys_) > bytes_) {
        text.resize(begin);
        more = true;
        return false;
      }
    }
    if (ends.empty()) begin_page(fields);
    remember(last, fields);
    ends.push_back(text.size());
    return true;
  }
  /// Bytes of the rows, with their commas.
  std::size_t size() const { return text.size() - head_; }
  /// One of them, as it was read.
  std::string_view at(std::size_t i) const {
    const auto begin = i ? ends[i - 1] + 1 : head_;
    return std::string_view(text).substr(begin, ends[i] - begin);
  }
  /// Turns the rows round: those that were read backward are shown forward.
  void reverse() {
    std::string turned;
    turned.reserve(text.capacity());
    turned.append(text, 0, head_);
    for (auto i = ends.size(); i-- > 0;) {
      turned += at(i);
      if (i > 0) turned += ',';
    }
    text = std::move(turned);
  }

  std::string text;                         ///< `head` and the rows
  std::vector<std::size_t> ends;            ///< of the rows in it, as read
  std::vector<database::Cell> first, last;  ///< as read
  std::vector<database::Cell> beyond;       ///< of the row behind the page, where `last` is long; else empty
  bool more = false;                        ///< there is a row behind

 private:
  bool end_before(std::span<const database::Field> fields) {
    more = true;
    std::size_t size = 0;
    for (auto& cell : last)
      if (const auto* value = std::get_if<std::string>(&cell)) size += value->size();
    if (size > kShort)
      remember(beyond, fields);
    else
      beyond.clear();
    return false;
  }
  static constexpr std::size_t kShort = 512;  ///< bytes of values that a cursor is sure to hold
  static constexpr std::size_t kReservedRows = 128, kReserved = 64 * 1024, kBehind = 512;
  /// The other rows are about as long as the first: there is room for all of them, and for what stands behind them.
  void begin_page(std::span<const database::Field> fields) {
    remember(first, fields);
    const auto row = size() + size() / 8 + 1;
    text.reserve(std::min(head_ + row * std::min(limit_, kReserved) + kBehind, kReserved));
  }
  /// Into the cells that are there, so that a row of a page costs no allocation.
  void remember(std::vector<database::Cell>& values, std::span<const database::Field> fields) const {
    values.resize(places_.size());
    for (std::size_t i = 0; i < places_.size(); ++i) {
      auto& value = values[i];
      const auto& field = fields[places_[i]];
      if (const auto* integer = std::get_if<std::int64_t>(&field))
        value = *integer;
      else if (const auto* real = std::get_if<double>(&field))
        value = *real;
      else if (const auto* text = std::get_if<std::string_view>(&field); !text)
        value = std::monostate{};
      else if (auto* kept = std::get_if<std::string>(&value))
        kept->assign(*text);
      else
        value.emplace<std::string>(*text);
    }
  }
  const RowWriter& writer_;
  std::vector<std::size_t> places_;
  std::vector<std::size_t> keys_{};
  std::size_t limit_, bytes_, head_;
  std::size_t kept_rows_ = 0, kept_text_ = head_;
  std::vector<database::Cell> kept_last_;
};

/// Reads a page, statement by statement (`list_statements`), until it is full. A page of which the next row would be
/// too much ends before it, and there are more; it may have no row at all.
Task<Result<>> read_page(database::Database& database, Loop& loop, std::vector<Statement> statements, const Page& page,
                         const database::Reading& reading, PageRows& rows);

}  // namespace plimsoll::table
