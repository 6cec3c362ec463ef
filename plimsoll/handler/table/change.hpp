#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/contract/marked.hpp"
#include "plimsoll/handler/table/row_writer.hpp"
#include "plimsoll/handler/table/statement.hpp"

#include <optional>
#include <vector>

namespace plimsoll::table {

/// What a client wants a row to be: a cell for each column it (or the server) says something about.
struct Change {
  std::vector<std::optional<database::Cell>> cells;
  std::vector<std::size_t> merged;  ///< columns of whole JSON values, to be merged into what is there
};

/// Of the keys of a table that the server makes too: as many are left for it.
inline constexpr std::int64_t kLargestChosenKey = std::int64_t{1} << 62;

/// Who changes, by which path, and when: what decides about the columns the server fills.
struct ChangeBy {
  const Caller* caller;
  std::span<const Condition> fixed;  ///< columns that the path says
  Nanoseconds wall;                  ///< Unix
  std::string_view prefix{};         ///< of pointers in errors: `/3` in a batch
};

/// Checks a body against the columns of a table and fills in what the server says. Members that the table does not have
/// are errors; members that clients cannot write are left out, so that what was read can be sent back.
Result<Change> new_row(const Table& table, const json::Value& body, const ChangeBy& by);
/// RFC 7396: only what the body names.
Result<Change> merge_patch(const Table& table, const json::Value& body, const ChangeBy& by);
/// Every column a client can write: what the body does not name gets its default or null.
Result<Change> replacement(const Table& table, const json::Value& body, const ChangeBy& by);

/// The merge of RFC 7396 on two JSON texts.
std::string merged_json(std::string_view current, std::string_view patch);

/// What a column is to hold where a client wants it to be `wanted`: members that clients cannot write stay as they are.
database::Cell keep_members(const Column& column, const database::Cell& wanted, const database::Cell& current,
                            contract::Misfit misfit = contract::Misfit::dropped);

}  // namespace plimsoll::table
