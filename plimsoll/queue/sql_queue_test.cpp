#include "plimsoll/queue/sql_queue.hpp"

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

class SqliteQueueMaker {
 public:
  SqliteQueueMaker() {
    database_ = database::open_sqlite({.path = folder_ / "queue.db"}).value();
    queue_ = std::make_unique<SqlQueue>(*database_, clock_, kinds_of_the_suite());
    auto ready = database::wait_for([&](Loop& loop) -> Task<Result<>> {
      auto made = co_await queue_->prepare(loop);
      co_return made;
    });
    EXPECT_TRUE(ready);
  }
  Queue& queue() { return *queue_; }
  database::Database& database() { return *database_; }
  std::atomic<Nanoseconds>& wall() { return clock_.at; }

 private:
  database::TestFolder folder_;
  SetClock clock_;
  std::unique_ptr<database::Database> database_;
  std::unique_ptr<SqlQueue> queue_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, QueueConformance, SqliteQueueMaker);

}  // namespace
}  // namespace plimsoll::queue
