#include "plimsoll/handler/table/row_writer.hpp"

#include "plimsoll/json/write.hpp"

namespace plimsoll::table {

RowWriter::RowWriter(const Table& table, const Selection& selection) {
  const auto add = [&](std::string_view name, Kind kind) {
    std::string before = columns_.empty() ? "{" : ",";
    json::append_string(before, name);
    columns_.push_back({before + ":", kind});
  };
  for (auto column : selection.columns) add(table.columns[column].name, table.columns[column].kind);
  for (auto& embedded : selection.embeds) add(embedded.embed->name, Kind::json);
}

void RowWriter::append(std::string& out, std::span<const database::Field> fields) const {
  if (columns_.empty()) out += '{';
  for (std::size_t i = 0; i < columns_.size() && i < fields.size(); ++i) {
    out += columns_[i].before;
    append_json(out, columns_[i].kind, fields[i]);
  }
  out += '}';
}

std::string to_json(const RowWriter& writer, const std::vector<database::Cell>& row) {
  std::vector<database::Field> fields;
  fields.reserve(row.size());
  for (auto& cell : row)
    std::visit(
        [&]<class T>(const T& value) {
          if constexpr (std::is_same_v<T, std::string>)
            fields.emplace_back(std::string_view(value));
          else
            fields.emplace_back(value);
        },
        cell);
  std::string out;
  writer.append(out, fields);
  return out;
}

}  // namespace plimsoll::table
