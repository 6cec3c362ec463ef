#include "plimsoll/queue/sql_queue.hpp"

#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/queue/conformance.hpp"

#include <optional>
#include <random>

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

TEST(ClaimHorizon, BeginsWhereTheLastLookEndedLessItsMargin) {
  ClaimHorizon horizon;
  const auto at = 1'000'000 * kSecond;
  ASSERT_TRUE(horizon.is_whole(at, at));
  horizon.found(5, 0, 0, true, at);
  horizon.found(6, at - 60 * kSecond, at - 50 * kSecond, false, at);  // more of these are due
  horizon.looked(true, at, at);
  EXPECT_FALSE(horizon.is_whole(at + kSecond, at + kSecond));
  EXPECT_EQ(horizon.due_from(5, false), at - ClaimHorizon::kMargin);
  EXPECT_EQ(horizon.due_from(6, false), at - 50 * kSecond - ClaimHorizon::kMargin);
  EXPECT_EQ(horizon.due_from(7, false), 0);  // nobody has looked there
  EXPECT_EQ(horizon.due_from(5, true), 0);
  EXPECT_EQ(horizon.lease_from(30 * kSecond), at + 30 * kSecond - ClaimHorizon::kMargin);
}

TEST(ClaimHorizon, LooksAtEverythingNowAndThenAndWhenTheClockGoesBack) {
  ClaimHorizon horizon;
  const auto at = 1'000'000 * kSecond;
  horizon.looked(true, at, 0);
  EXPECT_FALSE(horizon.is_whole(at + 9 * kSecond, 9 * kSecond));
  horizon.looked(false, at + 9 * kSecond, 9 * kSecond);
  EXPECT_TRUE(horizon.is_whole(at + 10 * kSecond, 10 * kSecond));
  EXPECT_TRUE(horizon.is_whole(at + 8 * kSecond, 9 * kSecond));
}

TEST(ClaimHorizon, IsWiderAfterAJobThatCameLateAndNarrowAgainAfterNone) {
  ClaimHorizon horizon;
  const auto at = 1'000'000 * kSecond;
  const auto look = [&](Nanoseconds first, Nanoseconds now) {
    horizon.found(5, first, first, true, now);
    horizon.looked(true, now, now);
  };
  look(0, at);
  look(at - 5 * kSecond, at + 10 * kSecond);  // it was due five seconds before the last look
  EXPECT_EQ(horizon.margin, 10 * kSecond);
  EXPECT_EQ(horizon.due_from(5, false), at);
  for (int i = 2; i < 8; ++i) look(0, at + i * 10 * kSecond);
  EXPECT_EQ(horizon.margin, ClaimHorizon::kMargin);
}

/// Two instances on one database, whose claims are made in turn.
class TwoQueues : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = PostgresQueueMaker::why_not(); !why.empty()) GTEST_SKIP() << why;
    maker_.emplace();
    other_ = std::make_unique<SqlQueue>(maker_->database(), clock_, kinds_of_the_suite());
  }
  Queue& queue(int which) { return which == 0 ? maker_->queue() : *other_; }
  void move(Nanoseconds by) { clock_.at = maker_->wall() += by; }
  void enqueue(int which, const Job& job) {
    write([&](Session& session) -> Task<Result<>> {
      auto made = co_await queue(which).enqueue(session, job);
      if (!made) co_return std::unexpected(std::move(made).error());
      co_return Result<>{};
    });
  }
  void complete(const Record& job) {
    const Claim claim{job.id, job.standing.token};
    write([&](Session& session) -> Task<Result<>> {
      auto done = co_await queue(0).complete(session, claim, {});
      co_return done;
    });
  }
  std::vector<Record> claim(int which, std::string_view name) {
    return database::wait_for([&](Loop& loop) -> Task<Result<std::vector<Record>>> {
             auto claimed = co_await queue(which).claim(loop, name, 100);
             co_return claimed;
           })
        .value();
  }
  Nanoseconds until_due(int which, std::string_view name) {
    return database::wait_for([&](Loop& loop) -> Task<Result<Nanoseconds>> {
             auto due = co_await queue(which).until_due(loop, name);
             co_return due;
           })
        .value();
  }
  int expire(int which) {
    return database::wait_for([&](Loop& loop) -> Task<Result<int>> {
             auto freed = co_await queue(which).expire(loop);
             co_return freed;
           })
        .value();
  }
  /// How many leases have run out, by a statement that looks at all of them.
  std::int64_t overdue() {
    const database::Cell now[] = {maker_->wall().load()};
    auto rows = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
      auto read =
          co_await maker_->database().read(loop, "SELECT count(*) FROM plimsoll_jobs WHERE lease <= ?", now, false);
      co_return read;
    });
    return std::get<std::int64_t>(rows.value()[0][0]);
  }
  void renew(int which, const Record& job) {
    const Claim claims[] = {{job.id, job.standing.token, 30 * kSecond}};
    const auto lost = database::wait_for([&](Loop& loop) -> Task<Result<std::vector<std::string>>> {
      auto renewed = co_await queue(which).renew(loop, claims);
      co_return renewed;
    });
    ASSERT_TRUE(lost && lost->empty());
  }

 private:
  using Session = database::Session;
  template <class F>
  void write(F work) {
    const auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
      auto written = co_await maker_->database().write(loop, work);
      co_return written;
    });
    ASSERT_TRUE(done) << database::reason_of(done.error());
  }
  SetClock clock_;
  std::optional<PostgresQueueMaker> maker_;
  std::unique_ptr<SqlQueue> other_;
};

TEST_F(TwoQueues, NeverRunMoreThanTheQueueAllowsTogetherAndNoLessThanTheyMay) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  std::vector<Record> running;
  int waiting = 0;
  for (int i = 0; i < 400; ++i) {
    const int which = static_cast<int>(random() % 2);
    switch (random() % 5) {
      case 0: enqueue(which, {.kind = "report"}), ++waiting; break;
      case 1:
        if (!running.empty()) renew(which, running[random() % running.size()]);
        break;
      case 2:
        if (!running.empty()) {
          complete(running.back());
          running.pop_back();
        }
        break;
      case 3: move(static_cast<Nanoseconds>(random() % 3'000) * kMillisecond); break;
      default: {
        const auto claimed = claim(which, "slow");
        const auto may = std::min<std::size_t>(2 - running.size(), static_cast<std::size_t>(waiting));
        ASSERT_EQ(claimed.size(), may) << "step " << i;
        waiting -= static_cast<int>(claimed.size());
        running.insert(running.begin(), claimed.begin(), claimed.end());
      }
    }
  }
}

TEST_F(TwoQueues, TellInHowLongTheNextJobIsDue) {
  EXPECT_EQ(until_due(0, "default"), Queue::kNever);
  enqueue(1, {.kind = "mail", .priority = 9, .delay = 60 * kSecond});
  EXPECT_EQ(until_due(0, "default"), 60 * kSecond);
  enqueue(1, {.kind = "mail", .delay = 20 * kSecond});
  EXPECT_EQ(until_due(0, "default"), 20 * kSecond);
  EXPECT_EQ(until_due(0, "slow"), Queue::kNever);
  move(15 * kSecond);
  EXPECT_EQ(until_due(0, "default"), 5 * kSecond);
  move(6 * kSecond);
  for (const int which : {0, 1}) EXPECT_EQ(until_due(which, "default"), 0);
  ASSERT_EQ(claim(1, "default").size(), 1u);
  for (int look = 0; look < 30; ++look) {
    EXPECT_EQ(until_due(0, "default"), (39 - look) * kSecond);
    move(kSecond);
  }
}

TEST_F(TwoQueues, FreeEachJobWhoseLeaseHasRunOutThoughTheyLookFromWhereTheyEnded) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  int freed = 0;
  for (int round = 0; round < 60; ++round) {
    for (auto jobs = random() % 4; jobs > 0; --jobs) enqueue(static_cast<int>(random() % 2), {.kind = "flood"});
    claim(static_cast<int>(random() % 2), "flood");
    move((random() % 4 == 0 ? 29 : 1) * kSecond + static_cast<Nanoseconds>(random() % 2'000) * kMillisecond);
    freed += expire(static_cast<int>(random() % 2));
    ASSERT_EQ(overdue(), 0) << "in round " << round;
  }
  EXPECT_GT(freed, 0);
}

TEST_F(TwoQueues, AJobThatIsSeenLateIsClaimedByTheNextLookAtEverything) {
  EXPECT_TRUE(claim(0, "default").empty());
  move(-5 * kSecond);
  enqueue(1, {.kind = "mail"});  // by a clock that is five seconds behind
  move(6 * kSecond);
  EXPECT_TRUE(claim(0, "default").empty());
  move(ClaimHorizon::kWhole);
  EXPECT_EQ(claim(0, "default").size(), 1u);
  move(-5 * kSecond);
  enqueue(1, {.kind = "mail"});
  move(6 * kSecond);
  EXPECT_EQ(claim(0, "default").size(), 1u) << "the margin is wider now";
}

}  // namespace
}  // namespace plimsoll::queue
