#pragma once

#include "plimsoll/handler/table/selection.hpp"
#include "plimsoll/handler/table/value.hpp"

#include "plimsoll/handler/table/odd_rows.hpp"

#include <memory>
#include <string>
#include <vector>

namespace plimsoll::table {

/// Writes rows of `list_statements` and `row_statement` as JSON objects. What is NULL is null where the column's schema
/// has that value, and absent where it has not; members of JSON values that are never shown are left out.
class RowWriter {
 public:
  /// What becomes of members that the schema marks `writeOnly`, inside columns that the selection has.
  enum class Hidden : std::uint8_t { left_out, shown };
  RowWriter(const Table& table, const Selection& selection, Hidden hidden = Hidden::left_out);
  /// How many values are not of their column's kind, as other programs may store them; they are shown as they stand.
  std::size_t append(std::string& out, std::span<const database::Field> fields) const;
  /// The columns shown, embeds included.
  std::size_t size() const { return columns_.size(); }

 private:
  struct Column {
    std::uint32_t name_begin, name_size;  ///< in `names_`: `,"total":`
    Kind kind;
    bool absent_when_null;
    const contract::MarkedPlace* hidden = nullptr;
    const table::Column* foreign = nullptr;  ///< it may hold values that are not of its kind
    bool repaired = false;                   ///< embedded rows with such values
  };
  /// Straight into memory that has room for the whole row.
  void append_plain(std::string& out, std::span<const database::Field> fields) const;
  void append_own(std::string& out, std::span<const database::Field> fields) const;
  std::size_t append_foreign(std::string& out, std::span<const database::Field> fields) const;
  const contract::MarkedPlace* hidden_in(const Selection::Embedded& embedded);
  /// Bytes that the row may take behind `out`: of its longest form where there is so much room already, else measured.
  std::size_t room_of(const std::string& out, std::span<const database::Field> fields) const;
  std::string_view before(const Column& column) const { return {names_.data() + column.name_begin, column.name_size}; }
  std::vector<Column> columns_;
  std::string names_;                                           ///< of all columns, and padding
  bool plain_ = false;                                          ///< nothing in them is hidden or needs a look
  bool foreign_ = false;                                        ///< one of them needs a look
  OddRows* odd_ = nullptr;                                      ///< counts rows that are shown
  std::vector<std::unique_ptr<contract::MarkedPlace>> places_;  ///< of embedded rows
};

/// A row by key, as JSON.
class OneRow final : public database::RowSink {
 public:
  /// `unseen` writes the columns that stand behind those of `writer`; null: there are none.
  explicit OneRow(const RowWriter& writer, const RowWriter* unseen = nullptr)
      : writer_(writer), unseen_writer_(unseen) {
    text.reserve(kUsual);
  }
  void begin() override {
    text.clear();
    unseen.clear();
  }
  bool row(std::span<const database::Field> fields) override {
    if (!text.empty()) return true;
    writer_.append(text, fields);
    if (unseen_writer_) unseen_writer_->append(unseen, fields.subspan(writer_.size()));
    return true;
  }
  std::string text;    ///< empty: there is none
  std::string unseen;  ///< what a tag is made of beside it

 private:
  static constexpr std::size_t kUsual = 512;
  const RowWriter& writer_;
  const RowWriter* unseen_writer_;
};

/// A row that a session gave.
std::string to_json(const RowWriter& writer, const std::vector<database::Cell>& row);

}  // namespace plimsoll::table
