#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::http {

/// Reads CSV (RFC 4180) as it arrives, in pieces of any size: it holds one row.
///
///     reader.feed(piece);
///     while (reader.next() == CsvReader::State::row) use(reader.cells());
///
/// Rows end with CRLF or LF, the last one also with the text. A byte order mark before the first row and lines without
/// a character are passed over. What RFC 4180 does not allow is an error: a quote inside of a cell that does not begin
/// with one, text behind a closing quote, a line break of CR alone, a quote that is never closed.
class CsvReader {
 public:
  struct Limits {
    std::size_t row = 1 << 20;  ///< bytes of the texts of a row
    std::size_t cells = 1'000;  ///< of a row
  };
  struct Cell {
    std::string_view text;  ///< without the quotes around it, and doubled ones as one
    bool quoted = false;    ///< an empty text differs from nothing by it
  };
  enum class State : std::uint8_t {
    row,    ///< `cells` has the next one
    more,   ///< what was fed is used up: feed more, or `end`
    wrong,  ///< `why` says why; nothing follows
  };

  CsvReader() = default;
  explicit CsvReader(Limits limits) : limits_(limits) {}

  /// `piece` stays where it is until `next` has given `more`.
  void feed(std::string_view piece) noexcept { rest_ = piece; }
  /// There is no more: what follows the last line break is a row.
  void end() noexcept { ended_ = true; }
  State next();
  /// Of the last row; good until the next call of `next`.
  std::span<const Cell> cells() const { return cells_; }
  /// Where that row begins, or what is wrong was found, from 1.
  std::int64_t line() const noexcept { return row_line_; }
  std::string_view why() const noexcept { return why_; }

 private:
  enum class At : std::uint8_t { begin_of_cell, plain, quoted, quote_in_quoted, carriage_return };
  struct Span {
    std::size_t begin, end;
    bool quoted;
  };
  State fail(std::string_view why, std::int64_t line);
  bool take(char c);
  bool end_cell();
  bool end_row();
  void begin_row();
  bool fits(std::size_t more);

  Limits limits_{};
  std::string_view rest_;
  std::string text_;
  std::vector<Span> spans_;
  std::vector<Cell> cells_;
  std::size_t cell_begin_ = 0;
  std::int64_t line_ = 1, row_line_ = 1, quote_line_ = 0;
  std::string_view why_;
  At at_ = At::begin_of_cell;
  std::uint8_t mark_ = 0;  ///< bytes of a byte order mark at the beginning
  bool started_ = false, quoted_ = false, complete_ = false, ended_ = false;
};

}  // namespace plimsoll::http
