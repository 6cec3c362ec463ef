#include "plimsoll/handler/table/page_rows.hpp"

namespace plimsoll::table {
namespace {

/// Passes rows on, and notes what each leaves of those that its statement may give (`Select::most`).
class Counted final : public database::RowSink {
 public:
  Counted(PageRows& rows, std::int64_t most) : rows_(rows), most_(most), left_(most) {}
  void begin() override {
    left_ = most_;
    rows_.begin();
  }
  bool row(std::span<const database::Field> fields) override {
    if (const auto* left = fields.empty() ? nullptr : std::get_if<std::int64_t>(&fields.back())) left_ = *left;
    return rows_.row(fields);
  }
  std::int64_t left() const { return left_; }

 private:
  PageRows& rows_;
  std::int64_t most_, left_;
};

/// A statement of a page into its rows; what it has used is taken off the budget.
Task<Result<>> read_range(database::Database& database, Loop& loop, Statement& statement,
                          const database::Reading& reading, PageRows& rows) {
  if (!statement.counted || !reading.budget) {
    auto done = co_await database.read(loop, statement.sql, statement.cells, reading, rows);
    co_return done;
  }
  const auto most = reading.budget->rows;
  statement.cells[*statement.counted] = most;
  Counted counted{rows, most};
  auto done = co_await database.read(loop, statement.sql, statement.cells, reading, counted);
  reading.budget->rows = counted.left();
  co_return done;
}

}  // namespace

Task<Result<>> read_page(database::Database& database, Loop& loop, std::vector<Statement> statements, const Page& page,
                         const database::Reading& reading, PageRows& rows) {
  for (auto& statement : statements) {
    if (rows.more) break;
    if (page.offset == 0) statement.cells.back() = page.limit - std::ssize(rows.ends);
    rows.next_range();
    auto done = co_await read_range(database, loop, statement, reading, rows);
    if (done) continue;
    if (done.error().problem != &database::kResponseTooLarge) co_return std::unexpected(std::move(done).error());
    rows.end_early();  // before the row that would be too much
  }
  co_return Result<>{};
}

}  // namespace plimsoll::table
