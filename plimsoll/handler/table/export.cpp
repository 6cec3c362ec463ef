#include "plimsoll/handler/table/export.hpp"

#include "plimsoll/contract/body.hpp"
#include "plimsoll/handler/table/access_plan.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/rows.hpp"
#include "plimsoll/json/parse.hpp"

#include <algorithm>

namespace plimsoll::table {

namespace {

constexpr std::int64_t kRowsAtOnce = 500;
constexpr std::size_t kBytesAtOnce = 256 * 1024;

}  // namespace

Format format_of(std::string_view media_type) {
  const auto type = http::essence(media_type);
  if (type == "text/csv") return Format::csv;
  return contract::body_kind(type) == contract::BodyKind::json_lines ? Format::ndjson : Format::json;
}

std::vector<std::string_view> types_of(const contract::Operation& operation) {
  std::vector<std::string_view> types;
  for (const auto& spec : operation.responses)
    if (spec.status == "200")
      for (const auto& media : spec.content)
        if (format_of(media.name) != Format::json ||
            contract::body_kind(http::essence(media.name)) == contract::BodyKind::json)
          types.push_back(media.name);
  if (types.empty()) types.push_back("application/json");
  return types;
}

Export::Export(database::Database& database, Loop& loop, ExportQuery query, Format format)
    : database_(database),
      loop_(loop),
      query_(std::move(query)),
      format_(format),
      writer_(*query_.wanted.table, query_.selection),
      places_(sort_places(*query_.wanted.table, query_.selection, query_.page.sort)) {
  query_.wanted.caller = &query_.caller;
  for (auto index : query_.selection.columns) {
    const auto& column = query_.wanted.table->columns[index];
    names_.push_back(column.name);
    several_types_.push_back(column.kind == Kind::json);
  }
  for (const auto& embedded : query_.selection.embeds) {
    names_.push_back(embedded.embed->name);
    if (embedded.embed->many()) names_.push_back(embedded.embed->more);
  }
}

Task<Result<Bytes>> Export::read() {
  piece_.clear();
  if (!std::exchange(begun_, true) && format_ == Format::csv) http::append_csv_header(piece_, names_);
  if (!ended_)
    if (auto done = co_await next_piece(); !done) co_return std::unexpected(std::move(done).error());
  co_return as_bytes(piece_);
}

Task<Result<>> Export::fill(PageRows& rows, const Page& page) const {
  auto budget = query_.budget;
  auto reading = query_.reading;
  reading.budget = &budget;
  if (AccessPlanner planner{database_.dialect(), query_.wanted, page}; planner.open()) {
    auto done = co_await planner.read(database_, loop_, query_.selection, reading, rows);
    co_return done;
  }
  auto statements = list_statements(database_.dialect(), query_.wanted, query_.selection, page, budget.rows);
  if (!statements) co_return Result<>{};
  auto done = co_await read_page(database_, loop_, std::move(*statements), page, reading, rows);
  co_return done;
}

Task<Result<>> Export::next_piece() {
  auto page = query_.page;
  const auto most = std::min(kRowsAtOnce, query_.rows.value_or(kRowsAtOnce));
  std::optional<PageRows> rows;
  const auto bytes = std::min(kBytesAtOnce, static_cast<std::size_t>(query_.budget.bytes));  // a row is one of these
  rows.emplace(writer_, places_, static_cast<std::size_t>(most), bytes);
  page.limit = most + 1;  // one more tells whether there is more
  auto done = co_await fill(*rows, page);
  if (done && rows->more && rows->ends.empty()) {  // a large row comes alone
    rows.emplace(writer_, places_, std::size_t{1}, static_cast<std::size_t>(query_.budget.bytes));
    page.limit = 2;
    done = co_await fill(*rows, page);
  }
  if (!done) co_return std::unexpected(std::move(done).error());
  if (rows->more && rows->ends.empty()) co_return fail(database::kResponseTooLarge, "one row is more than allowed");
  Arena arena;
  for (std::size_t i = 0; i < rows->ends.size(); ++i)
    if (auto added = append(rows->at(i), arena); !added) co_return std::unexpected(std::move(added).error());
  if (query_.rows) *query_.rows -= std::ssize(rows->ends);
  ended_ = !rows->more || query_.rows == 0;
  query_.page.from = Position{.values = rows->last};
  query_.page.offset = 0;
  co_return Result<>{};
}

Result<> Export::append(std::string_view row, Arena& arena) {
  if (format_ == Format::ndjson) {
    const auto begin = piece_.size();
    piece_ += row;
    // JSON that another program has stored may have several lines; within texts they are escaped.
    std::ranges::replace_if(
        piece_.begin() + static_cast<std::ptrdiff_t>(begin), piece_.end(),
        [](char c) { return c == '\n' || c == '\r'; }, ' ');
    piece_ += '\n';
    return {};
  }
  const auto value = json::parse(row, arena);
  if (!value) return fail(kInternal, "a row is not JSON");
  for (std::size_t i = 0; i < names_.size(); ++i) {
    if (i) piece_ += ',';
    http::append_csv_value(piece_, value->find(names_[i]), i < several_types_.size() && several_types_[i]);
  }
  piece_ += "\r\n";
  return {};
}

}  // namespace plimsoll::table
