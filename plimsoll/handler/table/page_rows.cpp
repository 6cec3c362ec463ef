#include "plimsoll/handler/table/page_rows.hpp"

namespace plimsoll::table {

Task<Result<>> read_page(database::Database& database, Loop& loop, std::vector<Statement> statements, const Page& page,
                         const database::Reading& reading, PageRows& rows) {
  for (auto& statement : statements) {
    if (rows.more) break;
    if (page.offset == 0) statement.cells.back() = page.limit - std::ssize(rows.ends);
    rows.next_range();
    auto done = co_await database.read(loop, statement.sql, statement.cells, reading, rows);
    if (done) continue;
    if (done.error().problem != &database::kResponseTooLarge) co_return std::unexpected(std::move(done).error());
    rows.end_early();  // before the row that would be too much
  }
  co_return Result<>{};
}

}  // namespace plimsoll::table
