#include "plimsoll/database/secret.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/database/wait.hpp"

namespace plimsoll::database {

Result<std::string> secret_of(Database& database, std::string_view name) {
  std::string secret;
  auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
      auto made = co_await prepare_own_table(
          session, database.dialect(),
          {.name = "plimsoll_secrets", .columns = "name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL"});
      if (!made) co_return made;
      const Cell cells[] = {std::string(name), to_hex(random_bytes(32))};
      auto put = co_await session.query(
          "INSERT INTO plimsoll_secrets(name,value) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET "
          "value=plimsoll_secrets.value RETURNING value",
          cells);
      if (!put) co_return std::unexpected(std::move(put).error());
      secret = text_at(put->at(0), 0);
      co_return Result<>{};
    });
    co_return written;
  });
  if (!done) return std::unexpected(std::move(done).error());
  return secret;
}

}  // namespace plimsoll::database
