#include "plimsoll/queue/sql_queue.hpp"

#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/queue/conformance.hpp"

namespace plimsoll::queue {
namespace {

struct SetClock final : Clock {
  std::atomic<Nanoseconds> at{1'700'000'000 * kSecond};
  Nanoseconds steady() const override { return at; }
  Nanoseconds wall() const override { return at; }
};

/// A queue on a database, and a clock that the test sets.
class QueueMaker {
 public:
  static std::string why_not() { return {}; }
  explicit QueueMaker(std::unique_ptr<database::Database> database) : database_(std::move(database)) {
    if (!database_) return;
    queue_ = std::make_unique<SqlQueue>(*database_, clock_, kinds_of_the_suite());
    auto ready = database::wait_for([&](Loop& loop) -> Task<Result<>> {
      auto made = co_await queue_->prepare(loop);
      co_return made;
    });
    EXPECT_TRUE(ready) << database::reason_of(ready.error());
  }
  Queue& queue() { return *queue_; }
  database::Database& database() { return *database_; }
  std::atomic<Nanoseconds>& wall() { return clock_.at; }

 private:
  SetClock clock_;
  std::unique_ptr<database::Database> database_;
  std::unique_ptr<SqlQueue> queue_;
};

struct Folder {
  database::TestFolder folder;
};
struct SqliteQueueMaker : Folder, QueueMaker {
  SqliteQueueMaker() : QueueMaker(database::open_sqlite({.path = folder / "queue.db"}).value()) {}
};
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, QueueConformance, SqliteQueueMaker);

struct PostgresQueueMaker : QueueMaker {
  PostgresQueueMaker() : QueueMaker(open()) {}
  static std::string why_not() {
    return database::PostgresServer::shared() ? "" : "PostgreSQL is not installed: scripts/install-dependencies test";
  }
  static std::unique_ptr<database::Database> open() {
    auto* server = database::PostgresServer::shared();
    return server ? database::open_postgres({.url = server->fresh_schema(), .least = 1}).value() : nullptr;
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, QueueConformance, PostgresQueueMaker);

}  // namespace
}  // namespace plimsoll::queue
