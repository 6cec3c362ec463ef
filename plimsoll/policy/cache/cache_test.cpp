#include "plimsoll/async/pause.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/parameter_of.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/policy/authentication/identity.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

namespace plimsoll::policy {
extern const Part cache, conditional;

namespace {

constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: Things, version: '1'}
paths:
  /things:
    get:
      operationId: things
      x-plimsoll: {cache: 5m}
      parameters:
        - {name: n, in: query, schema: {type: integer}}
        - {name: s, in: query, schema: {type: string}}
      responses: {'200': {description: things}}
    post:
      operationId: addThing
      responses: {'201': {description: added}}
)";

struct SetClock final : Clock {
  std::atomic<Nanoseconds> at{1'700'000'000 * kSecond};
  Nanoseconds steady() const override { return at; }
  Nanoseconds wall() const override { return at; }
};

/// Answers by a function, and counts.
class Origin final : public Handler {
 public:
  std::atomic<int> runs{0};
  std::function<Result<Response>(Request&, Context&, int run)> says;
  Nanoseconds takes = 0;
  Audience depends{};
  Task<Result<Response>> handle(Request& request, Context& context) override {
    const int run = ++runs;
    if (takes) co_await pause(context.loop, takes);
    co_return says(request, context, run);
  }
  Audience audience() const noexcept override { return depends; }
};

struct Asking {
  std::string n = "1", s = "x", subject{}, tenant{}, method = "GET", language{}, control{};
  std::vector<std::string> scopes{};
  std::string scheme{}, claims{};  ///< claims: a JSON text, or empty: none
  std::vector<std::string> roles{};
  bool sealed = true;  ///< what it grants and claims is written out already, as authentication does
};
struct Said {
  int status = 0;
  std::string body, how, age, control, cdn, etag;
  std::string_view problem;
};

class CacheTest : public testing::Test {
 public:
  void SetUp() override {
    database_ = database::open_sqlite({.path = folder_ / "cache.db"}).value();
    std::ofstream(folder_ / "things.yaml") << kContract;
    contract_ = *contract::load({.file = folder_ / "things.yaml", .keys = kKeys});
    services_ = {.database = database_.get(), .metrics = &metrics_, .clock = &clock_};
    origin_.says = [](Request&, Context& context, int run) { return text(context, "run " + std::to_string(run)); };
    begin(R"("5m")");
  }
  void begin(std::string_view options, std::string_view id = "things") {
    links_.clear(), policies_.clear();
    auto read = json::parse(options, arena_);
    ASSERT_TRUE(read);
    options_ = *read;
    operation_ = contract_->find(id);
    const Build build{*contract_, *operation_, services_, &origin_};
    add(conditional, nullptr, build);
    add(cache, &options_, build);
    links_.push_back({.handler = &origin_});
  }
  void add(const Part& part, const json::Value* options, const Build& build) {
    auto made = part.build(part, options, build);
    ASSERT_TRUE(made) << made.error().detail;
    if (!*made) return;
    links_.push_back((*made)->link());
    policies_.push_back(std::move(*made));
  }
  static Response text(Context& context, std::string_view body) {
    Response made{.status = 200, .headers = Headers{context.arena}};
    made.headers.add("content-type", "text/plain");
    made.body = context.kept(body);
    return made;
  }
  static std::string_view body_of(const Body& body) {
    if (auto* plain = std::get_if<std::string_view>(&body)) return *plain;
    if (auto* shared = std::get_if<Buffer>(&body)) return as_text(shared->bytes);
    return {};
  }
  Task<Said> ask(Loop& loop, const Asking& what, Scope* scope = nullptr) {
    Arena arena;
    Context context{arena, loop, services_};
    context.scope = scope;
    context.operation = operation_;
    context.now = clock_.steady(), context.wall = clock_.wall();
    Identity caller{.subject = what.subject, .tenant = what.tenant, .scopes = what.scopes, .roles = what.roles};
    caller.has_claims = !what.claims.empty();
    if (caller.has_claims) caller.claims = json::parse(what.claims, arena).value();
    caller.seal();
    auto principal = caller.principal(what.scheme);
    if (!what.sealed) principal.grants_key = principal.claims_key = {};
    if (!what.subject.empty()) context.principal = &principal;
    Request request{.method = what.method, .target = "/things", .headers = Headers{arena}, .path = "/things"};
    context.path = request.path;
    const auto n = json::Value::number(what.n), s = json::Value::of(std::string_view(what.s));
    const json::Value* values[] = {&n, &s};
    if (operation_->parameters.size() == 2) context.input.parameters = values;
    if (!what.language.empty()) request.headers.add("accept-language", what.language);
    if (!what.control.empty()) request.headers.add("cache-control", what.control);
    if (!match_.empty()) request.headers.add("if-none-match", match_);
    auto answer = co_await Next{links_.data()}(request, context);
    if (!answer) co_return Said{.status = answer.error().problem->status, .problem = answer.error().problem->code};
    auto header = [&](std::string_view name) { return std::string(answer->headers.find(name)); };
    co_return Said{.status = answer->status,
                   .body = std::string(body_of(answer->body)),
                   .how = header("cache-status"),
                   .age = header("age"),
                   .control = header("cache-control"),
                   .cdn = header("cdn-cache-control"),
                   .etag = header("etag")};
  }
  Said say(const Asking& what = {}) {
    return database::wait_for([&](Loop& loop) -> Task<Result<Said>> {
             auto said = co_await ask(loop, what);
             co_return said;
           })
        .value();
  }
  static Task<> asks(CacheTest& self, Loop& loop, const Asking& what, Said& said, Scope* scope) {
    said = co_await self.ask(loop, what, scope);
  }

  static constexpr const config::Key* kKeys[] = {&cache.key};
  database::TestFolder folder_;
  Arena arena_;
  SetClock clock_;
  telemetry::Registry metrics_;
  std::unique_ptr<database::Database> database_;
  Services services_;
  std::shared_ptr<const contract::Contract> contract_;
  const contract::Operation* operation_ = nullptr;
  json::Value options_;
  Origin origin_;
  std::string match_;
  std::vector<std::unique_ptr<Policy>> policies_;
  std::vector<Link> links_;
};

TEST_F(CacheTest, TheSecondIsAnsweredFromMemoryAndSaysSo) {
  auto first = say();
  EXPECT_EQ(first.body, "run 1");
  EXPECT_EQ(first.how, "plimsoll; fwd=uri-miss; stored; ttl=300");
  clock_.at += 10 * kSecond;
  auto second = say();
  EXPECT_EQ(second.body, "run 1");
  EXPECT_EQ(second.how, "plimsoll; hit; ttl=290");
  EXPECT_EQ(second.age, "10");
  EXPECT_EQ(second.control, "public, no-cache");
  EXPECT_EQ(second.cdn, "max-age=300");
  EXPECT_EQ(second.etag, first.etag);
  clock_.at += 300 * kSecond;
  EXPECT_EQ(say().body, "run 2");
}

TEST_F(CacheTest, WhoHasItAlreadyIsTold304) {
  match_ = say().etag;
  ASSERT_FALSE(match_.empty());
  auto again = say();
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(again.etag, match_);
  EXPECT_EQ(origin_.runs, 1);
}

TEST_F(CacheTest, ParametersAreComparedByValueAndOthersCountForNothing) {
  EXPECT_EQ(say({.n = "1"}).body, "run 1");
  EXPECT_EQ(say({.n = "1.0"}).body, "run 1");
  EXPECT_EQ(say({.n = "2"}).body, "run 2");
  EXPECT_EQ(say({.s = "y"}).body, "run 3");
}

TEST_F(CacheTest, AThousandConcurrentMissesMakeOneFill) {
  origin_.takes = 50 * kMillisecond;
  constexpr int kThreads = 4, kEach = 250;
  std::vector<Said> said(kThreads * kEach);
  std::atomic<int> ready{0};
  const Asking what;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      Loop loop;
      std::vector<Scope> scopes(kEach);
      for (int i = 0; i < kEach; ++i)
        loop.spawn(scopes[static_cast<std::size_t>(i)],
                   asks(*this, loop, what, said[static_cast<std::size_t>(t * kEach + i)], nullptr));
      ++ready;
      while (ready < kThreads) std::this_thread::yield();
      loop.run();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(origin_.runs, 1);
  for (auto& one : said) ASSERT_EQ(one.body, "run 1");
}

TEST_F(CacheTest, AClientThatLeavesDoesNotCancelTheFill) {
  origin_.takes = 30 * kMillisecond;
  Loop loop;
  Scope leaving, staying, other;
  Said left, stayed;
  const Asking what;
  loop.spawn(leaving, asks(*this, loop, what, left, &leaving));
  loop.spawn(staying, asks(*this, loop, what, stayed, &staying));
  loop.spawn(other, [](Loop& loop, Scope& leaving) -> Task<> {
    co_await pause(loop, 10 * kMillisecond);
    leaving.stop(Stop::client_gone);
  }(loop, leaving));
  loop.run();
  EXPECT_EQ(left.problem, "client-gone");
  EXPECT_EQ(stayed.body, "run 1");
  EXPECT_EQ(say().body, "run 1");
  EXPECT_EQ(origin_.runs, 1);
}

TEST_F(CacheTest, AWriteIsVisibleAtTheNextRead) {
  origin_.says = [](Request&, Context& context, int run) {
    context.read("things");
    return text(context, "run " + std::to_string(run));
  };
  EXPECT_EQ(say().body, "run 1");
  EXPECT_EQ(say().body, "run 1");
  database_->versions().wrote("things");
  EXPECT_EQ(say().body, "run 2");
  EXPECT_EQ(say().body, "run 2");
  database_->versions().wrote("others");
  EXPECT_EQ(say().body, "run 2");
}

TEST_F(CacheTest, WhoAsksAfterAWriteIsNotGivenWhatAFillReadBeforeIt) {
  origin_.takes = 40 * kMillisecond;
  std::atomic<int> value{1};
  origin_.says = [&](Request&, Context& context, int run) {
    context.read("things");
    // The first fill has read before the write, whenever it ends.
    return text(context, "value " + std::to_string(run == 1 ? 1 : value.load()));
  };
  Loop loop;
  Scope early, late;
  Said before, after;
  const Asking what;
  loop.spawn(early, asks(*this, loop, what, before, nullptr));
  loop.spawn(late, [](CacheTest& self, Loop& loop, const Asking& what, Said& after, auto& value) -> Task<> {
    co_await pause(loop, 15 * kMillisecond);
    value = 2;
    self.database_->versions().wrote("things");
    after = co_await self.ask(loop, what);
  }(*this, loop, what, after, value));
  loop.run();
  EXPECT_EQ(after.body, "value 2");
  EXPECT_EQ(say().body, "value 2");
}

TEST_F(CacheTest, StaleIsServedWhileANewOneIsFetchedBeside) {
  begin(R"({"ttl":"10s","stale-while-revalidate":"20s"})");
  EXPECT_EQ(say().body, "run 1");
  clock_.at += 15 * kSecond;
  auto stale = say();  // the loop runs until the fill beside it has ended
  EXPECT_EQ(stale.body, "run 1");
  EXPECT_EQ(stale.how, "plimsoll; hit; ttl=-5");
  EXPECT_EQ(origin_.runs, 2);
  EXPECT_EQ(say().body, "run 2");
}

TEST_F(CacheTest, StaleIsServedWithinItsGraceWhileTheHandlerFails) {
  begin(R"({"ttl":"10s","stale-if-error":"1m"})");
  EXPECT_EQ(say().body, "run 1");
  origin_.says = [](Request&, Context&, int) { return fail(kInternal); };
  clock_.at += 30 * kSecond;
  auto stale = say();
  EXPECT_EQ(stale.body, "run 1");
  EXPECT_NE(stale.how.find("fwd=stale"), std::string::npos);
  clock_.at += 60 * kSecond;
  EXPECT_EQ(say().status, 500);
}

// RFC 9111, section 4.4: what was invalidated must not be sent before the origin has confirmed it.
TEST_F(CacheTest, WhatAWriteHasMadeOldIsNotServedThoughTheHandlerFails) {
  begin(R"({"ttl":"10s","stale-if-error":"1h"})");
  const auto reads = [](Request&, Context& context, int run) {
    context.read("things");
    return text(context, "run " + std::to_string(run));
  };
  origin_.says = reads;
  EXPECT_EQ(say().body, "run 1");
  database_->versions().wrote("things");
  origin_.says = [](Request&, Context&, int) { return fail(kInternal); };
  EXPECT_EQ(say().status, 500);
  origin_.says = reads;
  EXPECT_EQ(say().body, "run 3");
  // A write while the fill is under way counts too.
  clock_.at += 30 * kSecond;
  origin_.says = [&](Request&, Context&, int) {
    database_->versions().wrote("things");
    return fail(kInternal);
  };
  EXPECT_EQ(say().status, 500);
}

TEST_F(CacheTest, WhatIsNotForAllIsGivenToNobodyElse) {
  for (auto* word : {"no-store", "private", "no-cache"}) {
    origin_.says = [&](Request&, Context& context, int run) {
      auto made = text(context, "run " + std::to_string(run));
      made.headers.add("cache-control", word);
      return made;
    };
    const int before = origin_.runs;
    const Asking what{.s = word};
    EXPECT_NE(say(what).body, say(what).body) << word;
    EXPECT_EQ(origin_.runs, before + 2);
  }
  origin_.says = [&](Request&, Context& context, int run) {
    auto made = text(context, "run " + std::to_string(run));
    made.headers.add("set-cookie", "a=b");
    return made;
  };
  const Asking cookie{.s = "cookie"};
  EXPECT_NE(say(cookie).body, say(cookie).body);
}

TEST_F(CacheTest, AFailureIsNotKept) {
  origin_.says = [](Request&, Context& context, int run) -> Result<Response> {
    if (run == 1) return fail(kInternal);
    return text(context, "fine");
  };
  EXPECT_EQ(say().status, 500);
  EXPECT_EQ(say().body, "fine");
}

TEST_F(CacheTest, AChangeOfTheResourceMakesWhatIsCachedOld) {
  EXPECT_EQ(say().body, "run 1");
  begin(R"("5m")", "addThing");
  EXPECT_EQ(say({.method = "POST"}).body, "run 2");
  begin(R"("5m")");
  EXPECT_EQ(say().body, "run 3");
}

TEST_F(CacheTest, OnlyIfCachedIsObeyed) {
  EXPECT_EQ(say({.control = "only-if-cached"}).problem, "not-cached");
  say();
  EXPECT_EQ(say({.control = "only-if-cached"}).body, "run 1");
  // RFC 9111, section 5.2: names in any case, several directives.
  for (auto* control : {"Only-If-Cached", "max-age=60, only-if-cached", "only-if-cached , no-transform"})
    EXPECT_EQ(say({.n = "7", .control = control}).problem, "not-cached") << control;
  EXPECT_EQ(say({.n = "7", .control = "x-only-if-cached"}).body, "run 2");
}

TEST_F(CacheTest, ShadowServesEverybodyFreshlyAndCountsWhatItWouldHaveServed) {
  begin(R"({"ttl":"5m","mode":"shadow"})");
  EXPECT_EQ(say().body, "run 1");
  EXPECT_EQ(say().body, "run 2");
  const auto exposed = metrics_.expose();
  EXPECT_NE(exposed.find(R"(plimsoll_cache_answers_total{operation="things",source="hit"} 1)"), std::string::npos)
      << exposed;
}

TEST_F(CacheTest, ATableThatDependsOnNobodyIsSharedByAllCallers) {
  origin_.depends = {.subject = false, .tenant = false, .grants = false, .claims = false};
  begin(R"("5m")");
  EXPECT_EQ(say({.subject = "ada"}).body, "run 1");
  EXPECT_EQ(say({.subject = "bob"}).body, "run 1");
}

// The answer tells whom and what it was made for, as far as the handler says that it depends on that; whatever callers,
// tokens, parameters and languages come in whatever order, nobody is ever given what was made for another. Words are
// chosen so that keys that are put together without care would meet.
TEST_F(CacheTest, OneCallersAnswerNeverReachesAnother) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  int questions = 0, fills = 0;
  auto one_of = [&](std::initializer_list<const char*> words) {
    return std::string(std::data(words)[random() % words.size()]);
  };
  for (int world = 0; world < 32; ++world) {
    origin_.depends = {.subject = (world & 1) != 0,
                       .tenant = (world & 2) != 0,
                       .grants = (world & 4) != 0,
                       .claims = (world & 8) != 0};
    const bool varies = (world & 16) != 0;
    auto expected = [&](const Asking& what) {
      std::string text = std::to_string(world) + '|' + what.n + '|' + what.s;
      if (what.subject.empty()) return text + "|nobody" + (varies ? '|' + what.language : "");
      text += "|somebody";
      if (world & 1) text += '|' + what.scheme + ':' + what.subject;
      if (world & 2) text += "|of " + what.tenant;
      if (world & 4)
        for (auto& scope : what.scopes) text += "|may " + scope;
      if (world & 4)
        for (auto& role : what.roles) text += "|is " + role;
      if (world & 8) text += '|' + what.claims;
      return text + (varies ? '|' + what.language : "");
    };
    origin_.says = [&](Request& request, Context& context, int) {
      Asking seen{.n = std::string(parameter_of(context, "n", contract::In::query)->number_text()),
                  .s = std::string(parameter_of(context, "s", contract::In::query)->string()),
                  .language = std::string(request.headers.find("accept-language"))};
      if (auto* caller = context.principal) {
        seen.subject = caller->subject, seen.tenant = caller->tenant;
        seen.scheme = caller->scheme;
        seen.scopes.assign(caller->scopes.begin(), caller->scopes.end());
        seen.roles.assign(caller->roles.begin(), caller->roles.end());
        if (caller->claims) seen.claims = json::to_string(*caller->claims);
      }
      auto made = text(context, expected(seen));
      if (varies) made.headers.add("vary", "Accept-Language");
      return made;
    };
    services_.shared = std::make_shared<plimsoll::Shared>();
    begin(R"("5m")");
    const int before = origin_.runs;
    for (int i = 0; i < 300; ++i) {
      Asking what{.n = one_of({"1", "12"}),
                  .s = one_of({"a", "ab", "a|b"}),
                  .subject = one_of({"", "ada", "ad", "bob"}),
                  .tenant = one_of({"", "a", "t"}),
                  .language = one_of({"", "en", "de"})};
      if (random() % 2) what.scopes = {"read"};
      if (random() % 3 == 0) what.scopes.push_back("write");
      if (random() % 3 == 0) what.roles = {one_of({"read", "support"})};
      what.scheme = one_of({"bearer", "key"});
      what.sealed = random() % 2;
      what.claims =
          one_of({"", R"({})", R"({"sub":"ada"})", R"({"sub":"ada","plan":"free"})", R"({"sub":"ada","plan":"paid"})",
                  R"({"plan":["free"]})", R"({"plan":1})", R"({"plan":"1"})", R"({"plan":null})"});
      const auto said = say(what);
      ASSERT_EQ(said.body, expected(what)) << said.how;
    }
    questions += 300, fills += origin_.runs - before;
  }
  EXPECT_LT(fills, questions * 3 / 4) << "most answers are shared by nobody: nothing is shown of what is kept";
}

}  // namespace
}  // namespace plimsoll::policy
