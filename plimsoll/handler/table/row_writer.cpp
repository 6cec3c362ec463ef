#include "plimsoll/handler/table/row_writer.hpp"

#include "plimsoll/json/write.hpp"

namespace plimsoll::table {

RowWriter::RowWriter(const Table& table, const Selection& selection) {
  const auto add = [&](std::string_view name, Kind kind, bool absent_when_null) {
    std::string before = ",";
    json::append_string(before, name);
    columns_.push_back({before + ":", kind, absent_when_null});
  };
  for (auto index : selection.columns) {
    const auto& column = table.columns[index];
    add(column.name, column.kind, column.absent_when_null());
  }
  for (auto& embedded : selection.embeds) add(embedded.embed->name, Kind::json, false);
}

void RowWriter::append(std::string& out, std::span<const database::Field> fields) const {
  const auto start = out.size();
  for (std::size_t i = 0; i < columns_.size() && i < fields.size(); ++i) {
    if (columns_[i].absent_when_null && fields[i].index() == 0) continue;
    out += columns_[i].before;
    append_json(out, columns_[i].kind, fields[i]);
  }
  if (out.size() == start)
    out += '{';
  else
    out[start] = '{';  // in place of the first member's comma
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
