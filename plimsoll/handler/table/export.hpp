#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/handler/table/page_rows.hpp"
#include "plimsoll/handler/table/statement.hpp"
#include "plimsoll/http/message.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

/// How the rows of a list are sent.
enum class Format : std::uint8_t { json, ndjson, csv };
Format format_of(std::string_view media_type);
/// The media types that the contract declares for a list's success and that can be made, in its order: JSON, NDJSON,
/// CSV. A list for which it declares none is JSON.
std::vector<std::string_view> types_of(const contract::Operation& operation);

/// What is sent, and for whom it is read.
struct ExportQuery {
  Caller caller;
  Selection selection;
  Wanted wanted;  ///< its caller is set by the export
  Page page;
  std::optional<std::int64_t> rows{};  ///< at most so many; nothing: all
  database::Reading reading{};
  database::ReadBudget budget{};  ///< of each page that is read, and of a row
};

/// Rows as NDJSON or CSV (RFC 4180, formulas defused), read page by page as the caller takes them: one page is held,
/// whatever their number. Pages are read one after the other: a row that is changed meanwhile may be there as it was,
/// as it is, or where its place in the order has changed, twice or not at all.
class Export final : public Stream {
 public:
  Export(database::Database& database, Loop& loop, ExportQuery query, Format format);
  Task<Result<Bytes>> read() override;

 private:
  Task<Result<>> next_piece();
  Task<Result<>> fill(PageRows& rows, const Page& page) const;
  Result<> append(std::string_view row, Arena& arena);

  database::Database& database_;
  Loop& loop_;
  ExportQuery query_;
  Format format_;
  RowWriter writer_;
  std::vector<std::string_view> names_;  ///< of the columns of CSV
  std::vector<bool> several_types_;      ///< of the first of them: of a type of its own, or a JSON value
  std::vector<std::size_t> places_;
  std::string piece_;
  bool begun_ = false, ended_ = false;
};

}  // namespace plimsoll::table
