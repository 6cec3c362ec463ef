#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/database/wait.hpp"

#include <memory>

namespace plimsoll::database {

/// Says statements to a Database, for DialectConformance. For tests only.
struct DatabaseSpeaker {
  const Dialect& dialect() const { return database->dialect(); }
  std::string why_not() const { return database ? "" : "no database"; }
  Result<Rows> ask(std::string_view sql, std::span<const Cell> cells) {
    Rows rows;
    auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
      auto written = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
        if (sql.contains(';') && cells.empty()) {  // several statements, or a trigger
          auto ran = co_await session.script(sql);
          co_return ran;
        }
        auto asked = co_await session.query(sql, cells);
        if (!asked) co_return std::unexpected(std::move(asked).error());
        rows = std::move(*asked);
        co_return Result<>{};
      });
      co_return written;
    });
    if (!done) return std::unexpected(std::move(done).error());
    return rows;
  }

  std::unique_ptr<Database> database;
};

}  // namespace plimsoll::database
