#include "plimsoll/database/scratch_schema.hpp"

#include "plimsoll/base/uuid.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/database/wait.hpp"

#include <utility>

namespace plimsoll::database {
namespace {

Result<> execute(Database& database, const std::string& statement) {
  return wait_for([&](Loop& loop) -> Task<Result<>> {
    auto done = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
      auto executed = co_await session.script(statement);
      co_return executed;
    });
    co_return done;
  });
}

}  // namespace

ScratchSchema::ScratchSchema(std::unique_ptr<Database> server, std::string name, std::string url)
    : server_(std::move(server)), name_(std::move(name)), url_(std::move(url)) {}

Result<std::unique_ptr<ScratchSchema>> ScratchSchema::make(const PostgresOptions& options) {
  auto few = options;
  few.least = 0;
  auto opened = open_postgres(few);
  if (!opened) return std::unexpected(std::move(opened).error());
  auto name = uuid4().to_string();
  std::erase(name, '-');
  name.insert(0, "plimsoll_scratch_");
  if (auto made = execute(**opened, "CREATE SCHEMA " + name); !made)
    return fail(kMigration, "no schema of its own can be made on the server: " + reason_of(made.error()));
  auto url = options.url;
  url += (url.contains('?') ? "&" : "?") + ("options=-csearch_path%3D" + name);
  return std::unique_ptr<ScratchSchema>(new ScratchSchema(std::move(*opened), std::move(name), std::move(url)));
}

Result<> ScratchSchema::drop() {
  if (!server_) return {};
  auto done = execute(*server_, "DROP SCHEMA " + name_ + " CASCADE");
  server_.reset();
  return done;
}
ScratchSchema::~ScratchSchema() { static_cast<void>(drop()); }

}  // namespace plimsoll::database
