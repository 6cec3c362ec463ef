#pragma once

#include "plimsoll/handler/table/selection.hpp"
#include "plimsoll/handler/table/value.hpp"

#include <string>
#include <vector>

namespace plimsoll::table {

/// Writes rows of `list_statement` and `row_statement` as JSON objects, and remembers where the values stand that a
/// cursor needs.
class RowWriter {
 public:
  RowWriter(const Table& table, const Selection& selection);
  void append(std::string& out, std::span<const database::Field> fields) const;
  /// The columns shown, embeds included.
  std::size_t size() const { return columns_.size(); }

 private:
  struct Column {
    std::string before;  ///< `{"id":` or `,"total":`
    Kind kind;
  };
  std::vector<Column> columns_;
};

/// A row by key, as JSON.
class OneRow final : public database::RowSink {
 public:
  explicit OneRow(const RowWriter& writer) : writer_(writer) { text.reserve(kUsual); }
  void begin() override { text.clear(); }
  void row(std::span<const database::Field> fields) override {
    if (text.empty()) writer_.append(text, fields);
  }
  std::string text;  ///< empty: there is none

 private:
  static constexpr std::size_t kUsual = 512;
  const RowWriter& writer_;
};

/// A row that a session gave.
std::string to_json(const RowWriter& writer, const std::vector<database::Cell>& row);

}  // namespace plimsoll::table
