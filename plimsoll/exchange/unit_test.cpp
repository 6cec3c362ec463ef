#include "plimsoll/exchange/unit.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/exchange/context.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace plimsoll {
namespace {

constexpr Problem kTaken{"taken", 409, "Taken", "Choose another."};
constexpr Problem kInFlight{"in-flight", 409, "The first request with this key is still running", "Ask again.", true};

/// A wait that has nothing to do with the database.
struct Hop {
  Loop& loop;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> who) const {
    loop.expect();
    loop.resume(who);
  }
  void await_resume() const noexcept {}
};

class InFlight {
 public:
  bool enter(const std::string& key) {
    std::lock_guard lock(mutex_);
    return keys_.insert(key).second;
  }
  void leave(const std::string& key) {
    std::lock_guard lock(mutex_);
    keys_.erase(key);
  }

 private:
  std::mutex mutex_;
  std::set<std::string> keys_;
};

/// Records the answer in the transaction of the effect, and replays it: what idempotency needs of a unit of work.
class Recorder final : public Policy {
 public:
  explicit Recorder(database::Database& database) : database_(database) {}
  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    const std::string key(request.headers.find("idempotency-key"));
    if (!in_flight_.enter(key)) co_return fail(kInFlight);
    struct Leave {
      InFlight& set;
      const std::string& key;
      ~Leave() { set.leave(key); }
    } leave{in_flight_, key};
    const database::Cell parameters[] = {key};
    auto found = co_await database_.read(context.loop, "SELECT status, body FROM record WHERE key=?", parameters, true);
    if (!found) co_return std::unexpected(std::move(found).error());
    if (!found->empty()) {
      Response replay{.status = static_cast<std::uint16_t>(std::get<std::int64_t>((*found)[0][0])),
                      .headers = Headers{context.arena},
                      .body = context.kept(std::get<std::string>((*found)[0][1]))};
      replay.headers.add("idempotent-replayed", "true");
      co_return replay;
    }
    Record record{key};
    context.unit().join(record);
    auto answer = co_await next(request, context);
    co_return answer;
  }

 private:
  struct Record final : Participant {
    explicit Record(const std::string& key) : key(key) {}
    Task<Result<>> settle(database::Session& session, const Response& answer) override {
      auto* body = std::get_if<std::string_view>(&answer.body);
      const database::Cell cells[] = {key, std::int64_t{answer.status}, std::string(body ? *body : std::string_view{})};
      auto done = co_await session.query("INSERT INTO record(key,status,body) VALUES(?,?,?)", cells);
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return Result<>{};
    }
    const std::string& key;
  };
  database::Database& database_;
  InFlight in_flight_;
};

class Settle final : public Policy {
  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto answer = co_await next(request, context);
    auto settled = co_await context.unit().close(std::move(answer));
    co_return settled;
  }
};

/// Ends in every way in which a handler can end.
class Ways final : public Handler {
 public:
  static Task<Result<>> effect(database::Session& session, std::string_view key) {
    const database::Cell cells[] = {std::string(key)};
    auto done = co_await session.query("INSERT INTO effect(key) VALUES(?)", cells);
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return Result<>{};
  }
  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto key = request.headers.find("idempotency-key");
    static std::atomic<long> serial{0};
    auto body = context.arena.keep("made " + std::to_string(++serial));
    auto answer = [&](std::uint16_t status) {
      return Response{.status = status, .headers = Headers{context.arena}, .body = lasting(body)};
    };
    if (request.target.starts_with("/short")) {
      auto done = co_await context.unit().answer([&](database::Session& session) -> Task<Result<Response>> {
        auto put = co_await effect(session, key);
        if (!put) co_return std::unexpected(std::move(put).error());
        if (request.target == "/short-throws") throw std::runtime_error("boom");
        if (request.target == "/short-refuses") co_return fail(kTaken);
        co_return answer(request.target == "/short-4xx" ? 422 : 201);
      });
      co_return done;
    }
    if (request.target == "/elsewhere") {
      co_await Hop{context.loop};
      co_return answer(200);
    }
    auto transaction = co_await context.unit().transaction();
    if (!transaction) co_return std::unexpected(std::move(transaction).error());
    auto put = co_await effect(**transaction, key);
    if (!put) co_return std::unexpected(std::move(put).error());
    co_await Hop{context.loop};
    if (request.target == "/long-throws") throw 7;
    if (request.target == "/long-refuses") co_return fail(kTaken);
    co_return answer(request.target == "/long-4xx" ? 409 : 201);
  }
};

constexpr const char* kTargets[] = {"/short",       "/short-4xx", "/short-throws",  "/long",        "/long-4xx",
                                    "/long-throws", "/elsewhere", "/short-refuses", "/long-refuses"};
constexpr int kRounds = 8, kClients = 8;

class UnitOfWork : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = database::open_sqlite({.path = folder_ / "unit.db"});
    ASSERT_TRUE(opened) << opened.error().detail;
    database_ = std::move(*opened);
    auto made = database::wait_for([&](Loop& loop) -> Task<Result<>> {
      auto done = co_await database_->write(loop, [](database::Session& session) -> Task<Result<>> {
        auto a = co_await session.query("CREATE TABLE effect(key TEXT)", {});
        auto b = co_await session.query("CREATE TABLE record(key TEXT PRIMARY KEY, status INTEGER, body TEXT)", {});
        if (!a || !b) co_return fail(kInternal);
        co_return Result<>{};
      });
      co_return done;
    });
    ASSERT_TRUE(made);
    services_.database = database_.get();
  }

  Task<> client(Loop& loop, std::span<const Link> chain, int k) {
    for (int i = 0; i < kRounds; ++i)
      for (std::string_view target : kTargets) {
        Arena arena;
        Context context{arena, loop, services_};
        Request request{.method = "POST", .target = target, .headers = Headers{arena}};
        auto key = arena.keep(std::string(target) + "#" + std::to_string((i + k) % kRounds));
        request.headers.add("idempotency-key", key);
        auto answer = co_await Next{chain.data()}(request, context);
        std::lock_guard lock(mutex_);
        if (answer)
          bodies_[std::string(key)].insert(std::to_string(answer->status) +
                                           std::string(std::get<std::string_view>(answer->body)));
        else if (answer.error().problem == &kInFlight)
          ++in_flight_;
      }
  }
  using Answered = std::vector<std::pair<std::string_view, int>>;  ///< targets with statuses, 0 for an error
  Task<> once(Loop& loop, std::span<const Link> chain, std::string_view target, std::string key, Answered& answered) {
    Arena arena;
    Context context{arena, loop, services_};
    Request request{.method = "POST", .target = target, .headers = Headers{arena}};
    request.headers.add("idempotency-key", arena.keep(key));
    auto answer = co_await Next{chain.data()}(request, context);
    answered.emplace_back(target, answer ? answer->status : 0);
  }
  std::map<std::string, std::int64_t> counted(std::string_view sql) {
    std::map<std::string, std::int64_t> found;
    auto rows = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
      auto read = co_await database_->read(loop, sql, {}, false);
      co_return read;
    });
    for (auto& row : *rows) found[std::get<std::string>(row[0])] = std::get<std::int64_t>(row[1]);
    return found;
  }

  database::TestFolder folder_;
  std::unique_ptr<database::Database> database_;
  Services services_;
  std::mutex mutex_;
  std::map<std::string, std::set<std::string>> bodies_;
  long in_flight_ = 0;
};

TEST_F(UnitOfWork, EffectRecordAndAnswerCommitTogetherOrNotAtAllUnderRacingClients) {
  Recorder recorder{*database_};
  Settle settle;
  Ways ways;
  const Link chain[] = {{.policy = &recorder}, {.policy = &settle}, {.handler = &ways}};
  auto thread = [&](int k) {
    Loop loop;
    std::vector<Scope> scopes(kClients);
    for (auto& scope : scopes) loop.spawn(scope, client(loop, chain, k * 7));
    loop.run();
  };
  std::thread other([&] { thread(1); });
  thread(0);
  other.join();
  auto effects = counted("SELECT key, count(*) FROM effect GROUP BY key");
  auto records = counted("SELECT key, status FROM record");
  for (int i = 0; i < kRounds; ++i)
    for (std::string target : kTargets) {
      const auto key = target + "#" + std::to_string(i);
      const bool throws = target.ends_with("throws"), elsewhere = target == "/elsewhere";
      const bool refused = target.ends_with("4xx") || target.ends_with("refuses");
      EXPECT_EQ(effects[key], throws || refused || elsewhere ? 0 : 1) << key;
      EXPECT_EQ(records.contains(key), !throws) << key;
      EXPECT_EQ(bodies_[key].size(), throws ? 0u : 1u) << key;
    }
}

/// Alone in its transaction, and in one that it shares with others, a unit has no savepoint of the handler's then.
TEST_F(UnitOfWork, WithoutParticipantsARefusalIsAnsweredAndLeavesNothing) {
  Settle settle;
  Ways ways;
  const Link chain[] = {{.policy = &settle}, {.handler = &ways}};
  const std::map<std::string_view, int> statuses = {
      {"/short", 201}, {"/short-4xx", 422}, {"/short-refuses", 409}, {"/short-throws", 0}, {"/long-4xx", 409}};
  for (const std::size_t together : {1, 6}) {
    Answered answered;
    Loop loop;
    std::vector<Scope> scopes(together * statuses.size());
    for (std::size_t i = 0; i < scopes.size(); ++i) {
      const auto target = std::next(statuses.begin(), static_cast<int>(i / together))->first;
      loop.spawn(scopes[i], once(loop, chain, target, std::string(target) + "#" + std::to_string(together), answered));
      if (together == 1) loop.run();
    }
    loop.run();
    EXPECT_EQ(answered.size(), scopes.size());
    for (auto& [target, status] : answered) EXPECT_EQ(status, statuses.at(target)) << target;
    auto effects = counted("SELECT key, count(*) FROM effect GROUP BY key");
    for (auto& [target, status] : statuses)
      EXPECT_EQ(effects[std::string(target) + "#" + std::to_string(together)],
                status == 201 ? static_cast<std::int64_t>(together) : 0)
          << target;
  }
}

TEST_F(UnitOfWork, ADatabaseThatIsGoneIsToldAsThat) {
  std::filesystem::remove(folder_ / "unit.db");
  Ways ways;
  const Link chain[] = {{.handler = &ways}};
  for (std::string_view target : {"/short", "/long"}) {
    auto answer = database::wait_for([&](Loop& loop) -> Task<Result<Response>> {
      Arena arena;
      Context context{arena, loop, services_};
      Request request{.method = "POST", .target = target, .headers = Headers{arena}};
      request.headers.add("idempotency-key", "k");
      auto told = co_await Next{chain}(request, context);
      co_return std::unexpected(told ? Error{&kInternal, "answered"} : told.error());
    });
    EXPECT_EQ(answer.error().problem, &database::kUnavailable) << target;
  }
}

}  // namespace
}  // namespace plimsoll
