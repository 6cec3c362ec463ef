#include "plimsoll/async/pause.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/exchange/cache/fills.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/policy/cache/cache_shared.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <thread>

namespace plimsoll::policy {
extern const Part cache, conditional;

namespace {

constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: Things, version: '1'}
components: {securitySchemes: {bearer: {type: http, scheme: bearer}}}
paths:
  /things:
    get:
      operationId: things
      x-plimsoll: {upstream: behind, cache: origin}
      responses: {default: {description: things}}
    post:
      operationId: addThing
      x-plimsoll: {upstream: behind}
      responses: {default: {description: added}}
  /own:
    get:
      operationId: own
      security: [{bearer: []}, {}]
      x-plimsoll: {upstream: behind, cache: origin}
      responses: {default: {description: of the caller}}
  /rows:
    get:
      operationId: rows
      x-plimsoll: {cache: origin}
      responses: {default: {description: of no upstream}}
)";

constexpr config::Key kUpstream{
    .name = "upstream", .sentence = "x", .short_form = R"("type":"string")", .example = "a"};

struct SetClock final : Clock {
  std::atomic<Nanoseconds> at{1'700'000'000 * kSecond};
  Nanoseconds steady() const override { return at; }
  Nanoseconds wall() const override { return at; }
};

/// A body in pieces, each after a pause; `before` is told of each, and of the end.
class Slowly final : public Stream {
 public:
  Slowly(Loop& loop, std::vector<std::string> pieces, std::function<void(std::size_t)> before)
      : loop_(loop), pieces_(std::move(pieces)), before_(std::move(before)) {}
  Task<Result<Bytes>> read() override {
    if (before_) {
      co_await pause(loop_, 10 * kMillisecond);
      before_(next_);
    }
    if (next_ == pieces_.size()) co_return Bytes{};
    co_return as_bytes(pieces_[next_++]);
  }

 private:
  Loop& loop_;
  const std::vector<std::string> pieces_;
  const std::function<void(std::size_t)> before_;
  std::size_t next_ = 0;
};

class Behind final : public Handler {
 public:
  std::atomic<int> runs{0}, under_way{0}, most{0};
  std::function<Result<Response>(Request&, Context&, int run)> says;
  Nanoseconds takes = 0;
  Task<Result<Response>> handle(Request& request, Context& context) override {
    const int run = ++runs;
    most = std::max(most.load(), ++under_way);
    if (takes) co_await pause(context.loop, takes);
    --under_way;
    co_return says(request, context, run);
  }
};

struct Asking {
  std::string method = "GET", control{}, match{}, subject{}, path = "/things";
};
struct Said {
  int status = 0;
  std::string body{}, how{};
  std::string_view problem{};
};

class OriginCacheTest : public testing::Test {
 public:
  void SetUp() override {
    std::ofstream(folder_ / "things.yaml") << kContract;
    contract_ = *contract::load({.file = folder_ / "things.yaml", .keys = kKeys});
    services_ = {.metrics = &metrics_, .clock = &clock_};
    behind_.says = [this](Request&, Context& context, int run) { return text(context, run, control_); };
    ASSERT_TRUE(begin(R"("origin")"));
  }
  Result<> begin(std::string_view options, std::string_view id = "things") {
    links_.clear(), policies_.clear();
    options_ = json::parse(arena_.keep(options), arena_).value();
    operation_ = contract_->find(id);
    for (const auto* part : {&conditional, &cache}) {
      const auto* said = part == &cache ? &options_ : nullptr;
      const Build build{.contract = *contract_,
                        .operation = *operation_,
                        .services = services_,
                        .handler = &behind_,
                        .settings = said};
      auto made = part->build(*part, said, build);
      if (!made) return std::unexpected(std::move(made).error());
      if (!*made) continue;
      links_.push_back((*made)->link());
      policies_.push_back(std::move(*made));
    }
    links_.push_back({.handler = &behind_});
    return {};
  }
  static Response text(Context& context, int run, std::string_view control, std::uint16_t status = 200) {
    Response made{.status = status, .headers = Headers{context.arena}};
    if (!control.empty()) made.headers.add("cache-control", context.arena.keep(control));
    made.body = context.kept("run " + std::to_string(run));
    return made;
  }
  Response slowly(Context& context, std::vector<std::string> pieces, std::function<void(std::size_t)> before = {}) {
    Response made{.headers = Headers{context.arena}};
    made.headers.add("cache-control", context.arena.keep(control_));
    made.body = context.stream<Slowly>(context.loop, std::move(pieces), std::move(before));
    return made;
  }
  Task<Said> ask(Loop& loop, Asking what, Scope* scope = nullptr, Nanoseconds reads_after = 0) {
    Arena arena;
    Context context{arena, loop, services_};
    context.scope = scope;
    context.operation = operation_;
    context.now = clock_.steady(), context.wall = clock_.wall();
    Principal principal{.subject = what.subject};
    if (!what.subject.empty()) context.principal = &principal;
    Request request{.method = what.method, .target = what.path, .headers = Headers{arena}, .path = what.path};
    context.path = request.path;
    if (!what.control.empty()) request.headers.add("cache-control", what.control);
    if (!what.match.empty()) request.headers.add("if-none-match", what.match);
    auto answer = co_await Next{links_.data()}(request, context);
    if (!answer) co_return Said{.status = answer.error().problem->status, .problem = answer.error().problem->code};
    Said said{.status = answer->status, .how = std::string(answer->headers.find("cache-status"))};
    if (auto* plain = std::get_if<std::string_view>(&answer->body)) said.body = *plain;
    if (auto* shared = std::get_if<Buffer>(&answer->body)) said.body = as_text(shared->bytes);
    if (auto* stream = std::get_if<Stream*>(&answer->body)) {
      if (reads_after) co_await pause(loop, reads_after);
      for (;;) {
        auto piece = co_await (*stream)->read();
        if (!piece) {
          said.problem = piece.error().problem->code;
          break;
        }
        if (piece->empty()) break;
        said.body += as_text(*piece);
        if (first_piece_) first_piece_(said.body);
      }
    }
    co_return said;
  }
  Said say(Asking what = {}) {
    return database::wait_for([&](Loop& loop) -> Task<Result<Said>> {
             auto said = co_await ask(loop, what);
             co_return said;
           })
        .value();
  }
  static Task<> asks(OriginCacheTest& self, Loop& loop, Asking what, Said& said, Scope* scope,
                     Nanoseconds reads_after = 0) {
    said = co_await self.ask(loop, std::move(what), scope, reads_after);
  }
  std::uint64_t gathered() { return services_.shared->of<CacheShared>(0)->gathered; }
  std::int64_t counted(std::string_view source) {
    const telemetry::Label labels[] = {{"operation", operation_->id}, {"source", source}};
    return metrics_.counter("plimsoll_cache_answers_total", "", labels).value();
  }

  static constexpr const config::Key* kKeys[] = {&cache.key, &kUpstream};
  database::TestFolder folder_;
  Arena arena_;
  SetClock clock_;
  telemetry::Registry metrics_;
  Services services_;
  std::shared_ptr<const contract::Contract> contract_;
  const contract::Operation* operation_ = nullptr;
  json::Value options_;
  Behind behind_;
  std::string control_ = "max-age=60";
  std::function<void(const std::string&)> first_piece_;
  std::vector<std::unique_ptr<Policy>> policies_;
  std::vector<Link> links_;
};

TEST_F(OriginCacheTest, AResponseIsFreshForAsLongAsItSays) {
  EXPECT_EQ(say().how, "plimsoll; fwd=uri-miss; stored; ttl=60");
  clock_.at += 59 * kSecond;
  EXPECT_EQ(say().how, "plimsoll; hit; ttl=1");
  clock_.at += kSecond;
  EXPECT_EQ(say().body, "run 2");
}

TEST_F(OriginCacheTest, AThousandConcurrentMissesMakeOneRequest) {
  behind_.takes = 50 * kMillisecond;
  constexpr int kThreads = 4, kEach = 250;
  std::vector<Said> said(kThreads * kEach);
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      Loop loop;
      std::vector<Scope> scopes(kEach);
      for (int i = 0; i < kEach; ++i)
        loop.spawn(scopes[static_cast<std::size_t>(i)],
                   asks(*this, loop, {}, said[static_cast<std::size_t>(t * kEach + i)], nullptr));
      ++ready;
      while (ready < kThreads) std::this_thread::yield();
      loop.run();
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(behind_.runs, 1);
  for (auto& one : said) ASSERT_EQ(one.body, "run 1");
}

TEST_F(OriginCacheTest, AThousandConcurrentRequestsForAStaleResponseMakeOneValidation) {
  behind_.says = [](Request& request, Context& context, int run) {
    auto made = text(context, run, "max-age=60", request.headers.contains("if-none-match") ? 304 : 200);
    made.headers.add("etag", "\"a\"");
    if (made.status == 304) made.body = {};
    return made;
  };
  EXPECT_EQ(say().body, "run 1");
  clock_.at += 61 * kSecond;
  behind_.takes = 30 * kMillisecond;
  Loop loop;
  std::vector<Scope> scopes(1000);
  std::vector<Said> said(scopes.size());
  for (std::size_t i = 0; i < said.size(); ++i) loop.spawn(scopes[i], asks(*this, loop, {}, said[i], nullptr));
  loop.run();
  EXPECT_EQ(behind_.runs, 2);
  for (auto& one : said) ASSERT_EQ(one.body, "run 1");
  EXPECT_EQ(counted("validated"), 1);
  EXPECT_EQ(counted("collapsed"), 999);
}

TEST_F(OriginCacheTest, WhatIsNotStoredIsNotWaitedForTwice) {
  control_ = "no-store";
  behind_.takes = 20 * kMillisecond;
  Loop loop;
  std::vector<Scope> scopes(50);
  std::vector<Said> said(scopes.size());
  for (std::size_t i = 0; i < said.size(); ++i) loop.spawn(scopes[i], asks(*this, loop, {}, said[i], nullptr));
  loop.run();
  EXPECT_EQ(behind_.runs, 50);
  EXPECT_EQ(behind_.most, 49);  // all others at once, when the first has shown that there is nothing to wait for
  EXPECT_EQ(say().how, "plimsoll; fwd=bypass");
}

TEST_F(OriginCacheTest, AClientThatLeavesDoesNotCancelTheFill) {
  behind_.takes = 30 * kMillisecond;
  Loop loop;
  Scope leaving, staying, other;
  Said left, stayed;
  loop.spawn(leaving, asks(*this, loop, {}, left, &leaving));
  loop.spawn(staying, asks(*this, loop, {}, stayed, &staying));
  loop.spawn(other, [](Loop& loop, Scope& leaving) -> Task<> {
    co_await pause(loop, 10 * kMillisecond);
    leaving.stop(Stop::client_gone);
  }(loop, leaving));
  loop.run();
  EXPECT_EQ(left.problem, "client-gone");
  EXPECT_EQ(stayed.body, "run 1");
  EXPECT_EQ(say().body, "run 1");
  EXPECT_EQ(behind_.runs, 1);
}

// Such a response holds its fill, which is asked whether it is waited for, when its flight has landed.
TEST_F(OriginCacheTest, AWholeResponseThatIsStillHeldWhenTheProcessEndsKeepsItsFill) {
  Fills::keep_account(services_);
  ASSERT_TRUE(services_.backgrounds->start());
  const auto held = database::wait_for([&](Loop& loop) -> Task<Result<int>> {
    Arena arena;
    Context context{arena, loop, services_};
    context.operation = operation_;
    context.now = clock_.steady(), context.wall = clock_.wall();
    Request request{.method = "GET", .target = "/things", .headers = Headers{arena}, .path = "/things"};
    context.path = request.path;
    const auto answer = co_await Next{links_.data()}(request, context);
    services_.backgrounds->drain(kSecond);
    co_await pause(loop, 100 * kMillisecond);
    co_return answer ? answer->status : 0;
  });
  EXPECT_EQ(held.value(), 200);
}

TEST_F(OriginCacheTest, TheReaderGetsWhatHasComeBeforeTheRest) {
  std::string at_the_end;
  std::string so_far;
  first_piece_ = [&](const std::string& body) { so_far = body; };
  behind_.says = [&](Request&, Context& context, int) {
    return slowly(context, {"one ", "two"}, [&](std::size_t next) {
      if (next == 1) at_the_end = so_far;
    });
  };
  EXPECT_EQ(say().body, "one two");
  EXPECT_EQ(at_the_end, "one ");
  EXPECT_EQ(say().body, "one two");
  EXPECT_EQ(behind_.runs, 1);
  EXPECT_EQ(gathered(), 0u);
}

TEST_F(OriginCacheTest, ASlowReaderHoldsUpNobody) {
  behind_.says = [&](Request&, Context& context, int run) { return slowly(context, {"run ", std::to_string(run)}); };
  Loop loop;
  Scope slow, fast;
  Said first, second;
  loop.spawn(slow, asks(*this, loop, {}, first, nullptr, 60 * kMillisecond));
  loop.spawn(fast, [](OriginCacheTest& self, Loop& loop, Said& second, const Said& first) -> Task<> {
    co_await pause(loop, 5 * kMillisecond);
    second = co_await self.ask(loop, {});
    EXPECT_EQ(first.status, 0) << "the slow one was not slow";
  }(*this, loop, second, first));
  loop.run();
  EXPECT_EQ(second.body, "run 1");
  EXPECT_EQ(first.body, "run 1");
  EXPECT_EQ(behind_.runs, 1);
}

TEST_F(OriginCacheTest, ABodyBeyondTheBoundGoesThroughAndIsNotStored) {
  ASSERT_TRUE(begin(R"({"origin":true,"largest":"1KiB"})"));
  const std::vector<std::string> pieces(40, std::string(100, 'x'));
  behind_.says = [&](Request&, Context& context, int) { return slowly(context, pieces); };
  EXPECT_EQ(say().body, std::string(4000, 'x'));
  EXPECT_EQ(gathered(), 0u);
  EXPECT_EQ(say().body, std::string(4000, 'x'));
  EXPECT_EQ(behind_.runs, 2);
}

TEST_F(OriginCacheTest, WhoeverReadsAlongHearsThatTheBodyHasEndedEarly) {
  struct Broken final : Stream {
    bool begun = false;
    Task<Result<Bytes>> read() override {
      if (!std::exchange(begun, true)) co_return as_bytes("begun");
      co_return fail(kInternal, "cut off");
    }
  };
  behind_.says = [&](Request&, Context& context, int run) {
    if (run > 1) return text(context, run, control_);
    Response made{.headers = Headers{context.arena}};
    made.headers.add("cache-control", "max-age=60");
    made.body = context.stream<Broken>();
    return made;
  };
  const auto first = say();
  EXPECT_EQ(first.body, "begun");
  EXPECT_EQ(first.problem, "internal");
  EXPECT_EQ(say().body, "run 2");
}

TEST_F(OriginCacheTest, StaleIsServedWhileANewOneIsFetchedBeside) {
  control_ = "max-age=10, stale-while-revalidate=20";
  EXPECT_EQ(say().body, "run 1");
  clock_.at += 15 * kSecond;
  const auto stale = say();  // the loop runs until the fill beside it has ended
  EXPECT_EQ(stale.body, "run 1");
  EXPECT_EQ(stale.how, "plimsoll; hit; detail=stale-while-revalidate; ttl=-5");
  EXPECT_EQ(behind_.runs, 2);
  EXPECT_EQ(say().body, "run 2");
  clock_.at += 31 * kSecond;
  EXPECT_EQ(say().body, "run 3");
}

TEST_F(OriginCacheTest, StaleIsServedWhereTheOriginFailsAndOnlyWhereThatIsPermitted) {
  control_ = "max-age=10, stale-if-error=60";
  EXPECT_EQ(say().body, "run 1");
  behind_.says = [](Request&, Context&, int) -> Result<Response> { return fail(kInternal, "down"); };
  clock_.at += 15 * kSecond;
  EXPECT_EQ(say().how, "plimsoll; fwd=stale; detail=stale-if-error; ttl=-5");
  EXPECT_EQ(say({.method = "HEAD"}).how, "plimsoll; fwd=stale; detail=stale-if-error; ttl=-5");
  ASSERT_TRUE(begin(R"({"origin":true,"obey-requests":true})"));
  EXPECT_EQ(say({.control = "no-cache"}).problem, "internal");
  clock_.at += 60 * kSecond;
  EXPECT_EQ(say().problem, "internal");
}

// It may have failed for what that request says in fields that are in no key.
TEST_F(OriginCacheTest, EachIsSentForItselfWhereTheRequestOfAnotherHasFailed) {
  behind_.takes = 20 * kMillisecond;
  behind_.says = [](Request&, Context& context, int run) -> Result<Response> {
    if (run == 1) return fail(kInternal, "down");
    return text(context, run, "max-age=60");
  };
  Loop loop;
  std::vector<Scope> scopes(100);
  std::vector<Said> said(scopes.size());
  for (std::size_t i = 0; i < said.size(); ++i) loop.spawn(scopes[i], asks(*this, loop, {}, said[i], nullptr));
  loop.run();
  EXPECT_EQ(std::ranges::count(said, "internal", &Said::problem), 1);
  for (auto& one : said)
    if (one.problem.empty()) EXPECT_TRUE(one.body.starts_with("run ")) << one.body;
}

TEST_F(OriginCacheTest, WhatWasAskedForBeforeAWriteIsNotUsedAfterIt) {
  behind_.takes = 40 * kMillisecond;
  Loop loop;
  Scope early, write;
  Said before;
  loop.spawn(early, asks(*this, loop, {}, before, nullptr));
  loop.spawn(write, [](OriginCacheTest& self, Loop& loop) -> Task<> {
    co_await pause(loop, 10 * kMillisecond);
    Arena arena;
    Request request{.method = "POST", .target = "/things", .headers = Headers{arena}, .path = "/things"};
    Context context(arena, loop, self.services_);
    origin::invalidate(*self.services_.shared->of<CacheShared>(0), resource_of(request),
                       Response{.headers = Headers{arena}}, context);
  }(*this, loop));
  loop.run();
  EXPECT_EQ(before.body, "run 1");
  EXPECT_EQ(say().body, "run 2");
  EXPECT_EQ(say().body, "run 2");
}

TEST_F(OriginCacheTest, OneCallersResponseReachesAnotherOnlyWhereTheOriginSaysSo) {
  ASSERT_TRUE(begin(R"("origin")", "own"));
  EXPECT_EQ(say({.subject = "ada"}).body, "run 1");
  EXPECT_EQ(say({.subject = "ada"}).body, "run 2");
  EXPECT_EQ(say({.subject = "bob"}).body, "run 3");
  EXPECT_EQ(say().body, "run 4");  // of nobody in particular: it is stored
  EXPECT_EQ(say().body, "run 4");
  EXPECT_EQ(say({.subject = "ada"}).body, "run 5");
  control_ = "max-age=60, public";
  clock_.at += 61 * kSecond;
  EXPECT_EQ(say({.subject = "ada", .path = "/other"}).body, "run 6");
  EXPECT_EQ(say({.subject = "bob", .path = "/other"}).body, "run 6");
  EXPECT_EQ(say({.path = "/other"}).body, "run 6");
}

TEST_F(OriginCacheTest, WhereNobodyIsVerifiedNothingIsSharedWithoutLeave) {
  services_.mock = false;
  auto unverified = *contract_->find("own");
  const auto off = json::Value::of(std::string_view("off"));
  unverified.extensions.push_back({"authentication", &off, "document", {&off}});
  ASSERT_TRUE(begin(R"("origin")", "own"));
  policies_.clear(), links_.clear();
  const Build build{.contract = *contract_,
                    .operation = unverified,
                    .services = services_,
                    .handler = &behind_,
                    .settings = &options_};
  policies_.push_back(std::move(*cache.build(cache, &options_, build)));
  links_ = {policies_.back()->link(), {.handler = &behind_}};
  EXPECT_EQ(say().body, "run 1");
  EXPECT_EQ(say().body, "run 2");
  control_ = "s-maxage=60";
  clock_.at += 61 * kSecond;
  EXPECT_EQ(say().body, "run 3");
  EXPECT_EQ(say().body, "run 3");
}

TEST_F(OriginCacheTest, InShadowEveryRequestReachesTheOriginAndHitsAreCounted) {
  ASSERT_TRUE(begin(R"({"origin":true,"mode":"shadow"})"));
  EXPECT_EQ(say().body, "run 1");
  EXPECT_EQ(say().body, "run 2");
  EXPECT_EQ(say({.control = "only-if-cached"}).body, "run 3");
  EXPECT_EQ(counted("hit"), 2);
  EXPECT_EQ(say().how, "");
}

TEST_F(OriginCacheTest, ConditionsAreJudgedByTheValidatorsOfTheOriginAlone) {
  EXPECT_EQ(say({.match = "*"}).body, "run 1");  // nothing of ours was made up for it
  behind_.says = [](Request&, Context& context, int run) {
    auto made = text(context, run, "max-age=60");
    made.headers.add("etag", "\"a\"");
    return made;
  };
  EXPECT_EQ(say({.path = "/tagged"}).status, 200);
  EXPECT_EQ(say({.match = "\"a\"", .path = "/tagged"}).status, 304);
}

TEST_F(OriginCacheTest, OptionsThatContradictEachOtherAreRefused) {
  for (auto wrong :
       {R"({"origin":true,"ttl":"5m"})", R"({"origin":true,"stale-if-error":"5m"})", R"({"ttl":"5m","heuristic":true})",
        R"({"ttl":"5m","cookies":false})", R"({"origin":false})", R"("origins")"})
    EXPECT_FALSE(begin(wrong)) << wrong;
  EXPECT_FALSE(begin(R"("origin")", "rows")) << "an operation without an upstream";
  EXPECT_TRUE(begin(R"({"origin":true,"heuristic":true,"cookies":false})"));
}

}  // namespace
}  // namespace plimsoll::policy
