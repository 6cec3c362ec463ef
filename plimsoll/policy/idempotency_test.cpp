#include "plimsoll/async/wait_list.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/exchange/unit.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/policy/idempotency_record.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

namespace plimsoll::policy {
extern const Part idempotency, settle;

namespace {

using database::Cell;
using database::Session;

constexpr Problem kTaken{"taken", 409, "Taken", "Choose another."};
constexpr Problem kStale{"stale", 412, "Stale", "Read again."};
constexpr Problem kUnbased{"unbased", 428, "Unbased", "Send If-Match."};

constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: Payments, version: '1'}
paths:
  /pay:
    post:
      operationId: pay
      responses: {'201': {description: paid}}
)";

struct SetClock final : Clock {
  static constexpr Nanoseconds kBegin = 1'700'000'000 * kSecond;
  std::atomic<Nanoseconds> at{kBegin};  ///< as time passes
  std::atomic<Nanoseconds> set{0};      ///< by how much the wall clock was set forward
  Nanoseconds steady() const override { return system_clock().steady() + at - kBegin; }
  Nanoseconds wall() const override { return at + set; }
};

/// Writes one row and answers in the way its path says.
class Pay final : public Handler {
 public:
  explicit Pay(SetClock& clock) : late(&clock) {}
  SetClock* const late;  ///< that a slow request moves
  std::atomic<int> runs{0};
  Task<Result<Response>> handle(Request& request, Context& context) override {
    const int run = ++runs;
    const auto path = request.path;
    if (path == "/elsewhere") co_return answer(context, 200, run);
    if (path == "/late") late->at += 5 * kSecond;
    if (path == "/slow") {
      WaitList idle;
      auto waited = co_await idle.wait(context.loop, 400 * kMillisecond, [] { return false; });
      if (!waited) co_return std::unexpected(std::move(waited).error());
    }
    auto done = co_await context.unit().answer([&](Session& session) -> Task<Result<Response>> {
      const Cell row[] = {std::string(context.input.body_text)};
      auto put = co_await session.query("INSERT INTO effect(what) VALUES(?)", row);
      if (!put) co_return std::unexpected(std::move(put).error());
      if (path == "/based" && !request.headers.contains("if-match")) co_return fail(kUnbased);
      if (path == "/based" && request.headers.find("if-match") != "\"now\"") co_return fail(kStale);
      if (path == "/refuses") co_return fail(kTaken, "run " + std::to_string(run));
      if (path == "/fails-once" && run == 1) co_return fail(kInternal, "no luck");
      if (path == "/busy") co_return answer(context, 429, run);
      co_return answer(context, 201, run);
    });
    co_return done;
  }
  static Response answer(Context& context, std::uint16_t status, int run) {
    Response made{.status = status, .headers = Headers{context.arena}};
    made.headers.add("location", context.kept("/payments/" + std::to_string(run)));
    made.body = context.kept("payment " + std::to_string(run));
    return made;
  }
};

struct Said {
  std::uint16_t status = 0;
  std::string code, body, location, replayed, retry_after;
  friend bool operator==(const Said&, const Said&) = default;
};

struct Ask {
  std::string path = "/pay", body = "10 EUR", key = "k-1", subject = "ada", match = "";
};

class IdempotencyTest : public testing::Test {
 protected:
  void SetUp() override { begin(R"("required")"); }
  void begin(std::string_view options) {
    links_.clear(), policies_.clear();
    if (!database_) {
      database_ = database::open_sqlite({.path = folder_ / "once.db"}).value();
      ASSERT_TRUE(database::wait_for([&](Loop& loop) -> Task<Result<>> {
        auto made = co_await database_->write(loop, [](Session& session) -> Task<Result<>> {
          auto table = co_await session.query("CREATE TABLE effect(what TEXT)", {});
          if (!table) co_return std::unexpected(std::move(table).error());
          co_return Result<>{};
        });
        co_return made;
      }));
    }
    services_.database = database_.get();
    services_.clock = &clock_;
    services_.metrics = &metrics_;
    if (!contract_) {
      std::ofstream(folder_ / "pay.yaml") << kContract;
      auto loaded = contract::load({.file = folder_ / "pay.yaml"});
      ASSERT_TRUE(loaded) << contract::to_string(loaded.error()[0]);
      contract_ = *loaded;
      operation_ = contract_->operations[0];
    }
    auto said = json::parse(options, arena_);
    ASSERT_TRUE(said);
    options_ = *said;
    const Build build{*contract_, operation_, services_, &handler_};
    for (auto* part : {&idempotency, &settle}) {
      auto made = part->build(*part, part == &idempotency ? &options_ : nullptr, build);
      ASSERT_TRUE(made) << made.error().detail;
      ASSERT_TRUE(*made);
      links_.push_back((*made)->link());
      policies_.push_back(std::move(*made));
    }
    links_.push_back({.handler = &handler_});
  }
  Task<Said> ask(Loop& loop, const Ask& what) {
    Arena arena;
    Context context{arena, loop, services_};
    context.operation = &operation_;
    context.wall = clock_.wall();
    Principal principal{.subject = what.subject};
    context.principal = &principal;
    Request request{.method = "POST", .target = what.path, .headers = Headers{arena}, .path = what.path};
    context.path = what.path;
    context.input.body_text = what.body;
    if (!what.key.empty()) request.headers.add("idempotency-key", what.key);
    if (!what.match.empty()) request.headers.add("if-match", what.match);
    auto answer = co_await Next{links_.data()}(request, context);
    if (!answer) answer = problem_document(answer.error(), context);
    Said said{.status = answer->status,
              .code = std::string(context.outcome.problem),
              .body = std::string(text_of(answer->body)),
              .location = std::string(answer->headers.find("location")),
              .replayed = std::string(answer->headers.find("idempotent-replayed")),
              .retry_after = std::string(answer->headers.find("retry-after"))};
    co_return said;
  }
  static std::string_view text_of(const Body& body) {
    auto* text = std::get_if<std::string_view>(&body);
    return text ? *text : std::string_view{};
  }
  Said say(const Ask& what) {
    return database::wait_for([&](Loop& loop) -> Task<Result<Said>> {
             auto said = co_await ask(loop, what);
             co_return said;
           })
        .value();
  }
  std::int64_t count(std::string_view table) {
    const auto sql = "SELECT count(*) FROM " + std::string(table);
    auto rows = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
      auto read = co_await database_->read(loop, sql, {}, false);
      co_return read;
    });
    return std::get<std::int64_t>(rows.value()[0][0]);
  }

  database::TestFolder folder_;
  Arena arena_;
  SetClock clock_;
  telemetry::Registry metrics_;
  std::unique_ptr<database::Database> database_;
  Services services_;
  std::shared_ptr<const contract::Contract> contract_;
  contract::Operation operation_;
  json::Value options_;
  Pay handler_{clock_};
  std::vector<std::unique_ptr<Policy>> policies_;
  std::vector<Link> links_;
};

TEST_F(IdempotencyTest, ARepeatedRequestGetsTheFirstAnswerByteForByteAndNothingHappensAgain) {
  const auto first = say({});
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(first.replayed, "");
  auto again = say({});
  EXPECT_EQ(again.replayed, "true");
  again.replayed.clear();
  EXPECT_EQ(again, first);
  EXPECT_EQ(handler_.runs, 1);
  EXPECT_EQ(count("effect"), 1);
}

TEST_F(IdempotencyTest, ARequestWithoutAKeyIsRefusedWhereOneIsRequired) {
  EXPECT_EQ(say({.key = ""}).code, "idempotency-key-missing");
  begin(R"("optional")");
  EXPECT_EQ(say({.key = ""}).status, 201);
  EXPECT_EQ(say({.key = ""}).status, 201);
  EXPECT_EQ(count("effect"), 2);
}

TEST_F(IdempotencyTest, AKeyThatCannotBeReadIsRefused) {
  for (auto* key : {"a b", "\"a\"b\"", "\"\"", "\"a\\\"b\"", "a\x01", "k\xc3\xa9"})
    EXPECT_EQ(say({.key = key}).code, "idempotency-key-invalid") << key;
  EXPECT_EQ(say({.key = std::string(256, 'k')}).code, "idempotency-key-invalid");
  EXPECT_EQ(say({.key = std::string(255, 'k')}).status, 201);
}

TEST_F(IdempotencyTest, RecordsAreThoseOfEarlierVersions) {
  say({});
  say({.key = "k-2", .match = "\"1\""});
  auto rows = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
    auto read =
        co_await database_->read(loop, "SELECT key, fingerprint FROM plimsoll_idempotency ORDER BY rowid", {}, false);
    co_return read;
  });
  ASSERT_TRUE(rows && rows->size() == 2);
  EXPECT_EQ((*rows)[0][0], Cell{"mfejjtH483s0ziPrWw7ONT8i3x8W0SvfNGqkAx40Jgo"});
  EXPECT_EQ((*rows)[0][1], Cell{"MflpiZGWnUsIB-DnPc-06gyboR_0w3JFtXjRNiceQZE"});
  EXPECT_EQ((*rows)[1][1], Cell{"ZdTS_ZOfi7XZlglmd_VnKTOYC5OdI9oF5T47MuSgXRA"});
}

TEST_F(IdempotencyTest, QuotedAndBareAreTheSameKey) {
  say({.key = "abc"});
  EXPECT_EQ(say({.key = "\"abc\""}).replayed, "true");
}

TEST_F(IdempotencyTest, AnotherPayloadOrPathUnderTheSameKeyIsRefused) {
  say({});
  EXPECT_EQ(say({.body = "20 EUR"}).code, "idempotency-key-reused");
  EXPECT_EQ(say({.path = "/pay2"}).code, "idempotency-key-reused");
  EXPECT_EQ(say({.body = "20 EUR"}).status, 422);
  EXPECT_EQ(count("effect"), 1);
}

TEST_F(IdempotencyTest, KeysOfDifferentCallersDoNotMeet) {
  const auto ada = say({.subject = "ada"});
  const auto bob = say({.subject = "bob"});
  EXPECT_EQ(bob.replayed, "");
  EXPECT_NE(ada.body, bob.body);
  EXPECT_EQ(count("effect"), 2);
}

TEST_F(IdempotencyTest, ARefusalOfTheHandlerIsReplayedAndItsRowsAreGone) {
  const auto first = say({.path = "/refuses"});
  EXPECT_EQ(first.status, 409);
  auto again = say({.path = "/refuses"});
  EXPECT_EQ(again.replayed, "true");
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(count("effect"), 0);
}

TEST_F(IdempotencyTest, AFailureLeavesNothingAndTheRetryReallyRuns) {
  EXPECT_EQ(say({.path = "/fails-once"}).status, 500);
  EXPECT_EQ(count("effect"), 0);
  EXPECT_EQ(count("plimsoll_idempotency"), 0);
  const auto retry = say({.path = "/fails-once"});
  EXPECT_EQ(retry.status, 201);
  EXPECT_EQ(retry.replayed, "");
  EXPECT_EQ(count("effect"), 1);
}

TEST_F(IdempotencyTest, AnAnswerThatAsksToBeRepeatedIsNotRemembered) {
  EXPECT_EQ(say({.path = "/busy"}).status, 429);
  EXPECT_EQ(say({.path = "/busy"}).replayed, "");
}

/// What the caller had seen of the resource is part of the request, and that it is out of date is no final answer.
TEST_F(IdempotencyTest, ARefusedConditionIsNotRememberedAndAnotherConditionIsAnotherRequest) {
  for (auto* match : {"", "\"then\"", "", "\"then\""}) {
    const auto refused = say({.path = "/based", .match = match});
    EXPECT_EQ(refused.status, *match ? 412 : 428);
    EXPECT_EQ(refused.replayed, "");
  }
  EXPECT_EQ(count("plimsoll_idempotency"), 0);
  EXPECT_EQ(say({.path = "/based", .match = "\"now\""}).status, 201);
  EXPECT_EQ(say({.path = "/based", .match = "\"now\""}).replayed, "true");
  for (auto* match : {"", "\"then\""})
    EXPECT_EQ(say({.path = "/based", .match = match}).code, "idempotency-key-reused") << match;
  EXPECT_EQ(count("effect"), 1);
}

TEST_F(IdempotencyTest, AHandlerThatUsesNoTransactionIsRememberedToo) {
  say({.path = "/elsewhere"});
  EXPECT_EQ(say({.path = "/elsewhere"}).replayed, "true");
  EXPECT_EQ(handler_.runs, 1);
}

TEST_F(IdempotencyTest, AnExpiredKeyIsFreshAgainAndExpiredRecordsAreTakenAway) {
  for (int i = 0; i < 10; ++i) say({.key = "old-" + std::to_string(i)});
  clock_.at += 24 * 3600 * kSecond;
  EXPECT_EQ(say({.key = "old-0"}).replayed, "");
  for (int i = 0; i < 32; ++i) say({.key = "new-" + std::to_string(i)});
  EXPECT_EQ(count("plimsoll_idempotency"), 33);
}

TEST_F(IdempotencyTest, AClockThatIsSetForwardEndsNoRecordBeforeItsTime) {
  const auto first = say({});
  for (int i = 0; i < 40; ++i) say({.key = "other-" + std::to_string(i)});
  clock_.set += 3 * 24 * 3600 * kSecond;
  EXPECT_EQ(say({}).replayed, "true");
  EXPECT_EQ(say({}).location, first.location);
  for (int i = 0; i < 40; ++i) say({.key = "new-" + std::to_string(i)});
  EXPECT_EQ(count("plimsoll_idempotency"), 81) << "none is removed";
  clock_.at += 24 * 3600 * kSecond;
  EXPECT_EQ(say({}).replayed, "");
}

TEST_F(IdempotencyTest, TheTableHoldsLittleMoreThanWhatIsLive) {
  constexpr int kLive = 24, kBeyond = 64;
  for (int i = 0; i < 400; ++i) {
    EXPECT_EQ(say({.key = "k-" + std::to_string(i)}).replayed, "");
    EXPECT_LE(count("plimsoll_idempotency"), kLive + kBeyond) << i;
    clock_.at += 3600 * kSecond;
  }
}

TEST_F(IdempotencyTest, AResponseIsKeptFromWhenThereIsOneHoweverLongItTook) {
  begin(R"({"key":"required","keep":"2s"})");
  const auto first = say({.path = "/late"});
  EXPECT_EQ(first.replayed, "");
  EXPECT_EQ(say({.path = "/late"}).replayed, "true");
  clock_.at += 3 * kSecond;
  EXPECT_EQ(say({.path = "/late"}).replayed, "");
  EXPECT_EQ(handler_.runs, 2);
}

TEST_F(IdempotencyTest, WhoWaitsTooLongForTheFirstIsToldWhenToComeBack) {
  begin(R"({"key":"required","wait":"50ms"})");
  Loop loop;
  Scope scopes[2];
  Said said[2];
  auto one = [](auto& self, Loop& loop, const Ask& what, Said& said) -> Task<> {
    said = co_await self.ask(loop, what);
  };
  const Ask slow{.path = "/slow"};
  for (int i = 0; i < 2; ++i) { loop.spawn(scopes[i], one(*this, loop, slow, said[i])); }
  loop.run();
  EXPECT_EQ(said[0].status, 201);
  EXPECT_EQ(said[1].code, "idempotency-in-flight");
  EXPECT_EQ(said[1].retry_after, "1");
  EXPECT_EQ(count("effect"), 1);
}

TEST_F(IdempotencyTest, ShadowCountsAndServes) {
  begin(R"({"key":"required","mode":"shadow"})");
  EXPECT_EQ(say({.key = ""}).status, 201);
  EXPECT_EQ(say({}).status, 201);
  EXPECT_EQ(say({}).status, 201);
  EXPECT_EQ(say({.body = "20 EUR"}).status, 201);
  EXPECT_EQ(count("effect"), 4);
  const auto exposed = metrics_.expose();
  for (const auto* problem : {"idempotency-key-missing", "idempotency-key-reused"})
    EXPECT_NE(exposed.find(R"(policy="idempotency",operation="pay",problem=")" + std::string(problem) +
                           R"(",decision="shadowed"} 1)"),
              std::string::npos)
        << exposed;
}

TEST_F(IdempotencyTest, SafeOperationsHaveNone) {
  operation_.method = "GET";
  const Build build{*contract_, operation_, services_, &handler_};
  EXPECT_EQ(idempotency.build(idempotency, &options_, build).value(), nullptr);
  EXPECT_EQ(settle.build(settle, nullptr, build).value(), nullptr);
}

TEST_F(IdempotencyTest, TwoHundredRacingClientsCauseOneExecutionAndGetIdenticalAnswers) {
  constexpr int kClients = 200, kThreads = 4;
  std::vector<Said> said(kClients);
  std::atomic<int> ready{0};
  auto one = [](auto& self, Loop& loop, const Ask& what, Said& said) -> Task<> {
    said = co_await self.ask(loop, what);
  };
  const Ask slow{.path = "/slow"};
  auto thread = [&](int k) {
    Loop loop;
    std::vector<Scope> scopes(kClients / kThreads);
    for (int i = 0; i < kClients / kThreads; ++i)
      loop.spawn(scopes[static_cast<std::size_t>(i)],
                 one(*this, loop, slow, said[static_cast<std::size_t>(k * kClients / kThreads + i)]));
    ++ready;
    while (ready < kThreads) std::this_thread::yield();
    loop.run();
  };
  std::vector<std::thread> threads;
  for (int k = 0; k < kThreads; ++k) threads.emplace_back(thread, k);
  for (auto& t : threads) t.join();
  EXPECT_EQ(handler_.runs, 1);
  EXPECT_EQ(count("effect"), 1);
  int replayed = 0;
  for (auto& answer : said) {
    EXPECT_EQ(answer.status, 201);
    EXPECT_EQ(answer.body, said[0].body);
    EXPECT_EQ(answer.location, said[0].location);
    replayed += answer.replayed == "true";
  }
  EXPECT_EQ(replayed, kClients - 1);
}

TEST_F(IdempotencyTest, AnotherProcessThatWasFasterWinsAndThisOnesEffectIsUndone) {
  // Its record appears between this one's question and its commit: as if another process had run the same request.
  struct Interloper final : Handler {
    database::Database& database;
    Handler& inner;
    std::string key;
    Digest fingerprint;
    Interloper(database::Database& database, Handler& inner) : database(database), inner(inner) {}
    Task<Result<Response>> handle(Request& request, Context& context) override {
      RecordedAnswer theirs{.fingerprint = fingerprint_of(request, context), .status = 201, .body = "theirs"};
      const auto id = record_key(context.principal, "pay", "k-1");
      auto put = co_await database.write(context.loop, [&](Session& session) -> Task<Result<>> {
        auto done =
            co_await IdempotencyRecords{database, std::make_shared<ExpiryClock>(*context.services.clock)}.insert(
                session, id, "pay", theirs, context.wall, 3600 * kSecond);
        if (!done) co_return std::unexpected(std::move(done).error());
        co_return Result<>{};
      });
      EXPECT_TRUE(put);
      auto answer = co_await inner.handle(request, context);
      co_return answer;
    }
  } interloper{*database_, handler_};
  links_.back() = {.handler = &interloper};
  const auto said = say({});
  EXPECT_EQ(said.body, "theirs");
  EXPECT_EQ(said.replayed, "true");
  EXPECT_EQ(count("effect"), 0);
}

}  // namespace
}  // namespace plimsoll::policy
