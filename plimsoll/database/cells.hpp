#pragma once

#include "plimsoll/database/database.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace plimsoll::database {

/// The text of a cell; empty where it holds something else.
inline std::string text_of(const Cell& cell) {
  const auto* text = std::get_if<std::string>(&cell);
  return text ? *text : std::string{};
}
/// The whole number of a cell; 0 where it holds something else.
inline std::int64_t number_of(const Cell& cell) {
  const auto* number = std::get_if<std::int64_t>(&cell);
  return number ? *number : 0;
}

/// The same of a row that a statement of ours has read.
inline std::string text_at(const std::vector<Cell>& row, std::size_t i) { return text_of(row.at(i)); }
inline std::int64_t number_at(const std::vector<Cell>& row, std::size_t i) { return number_of(row.at(i)); }

}  // namespace plimsoll::database
