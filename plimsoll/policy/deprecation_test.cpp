#include "plimsoll/http/date.hpp"
#include "plimsoll/policy/trial.hpp"
#include "plimsoll/testkit/api.hpp"

#include <thread>

namespace plimsoll::policy {
extern const Part deprecation;
namespace {

using testkit::member;

struct MovedClock final : Clock {
  Nanoseconds steady() const override { return now; }
  Nanoseconds wall() const override { return now; }
  std::atomic<Nanoseconds> now = 1'780'272'000 * kSecond;  // 2026-06-01
};
constexpr std::int64_t kSunset = 1'798'675'200;  // 2026-12-31

constexpr std::string_view kHead = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n";

/// One operation, GET /old/{id}, with those keys of `x-plimsoll`, after `top` of the document.
std::string contract(std::string_view keys, std::string_view top = "", bool deprecated = true) {
  return std::string(kHead) + "x-plimsoll: {mock: {}, authorization: any-caller, rate-limit: off" + std::string(top) +
         "}\npaths:\n  /old/{id}:\n    get:\n      operationId: getOld\n" +
         (deprecated ? "      deprecated: true\n" : "") + "      x-plimsoll: {" + std::string(keys) + R"(}
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      responses: {'200': {description: ok, content: {application/json: {example: {}}}}}
  /new/{id}:
    get:
      operationId: getNew
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      responses: {'200': {description: ok, content: {application/json: {example: {}}}}}
  /all:
    get: {operationId: getAll, responses: {'200': {description: ok, content: {application/json: {example: {}}}}}}
)";
}

TEST(Deprecation, IsToldOnEveryResponseOfTheOperationAndOnNoOther) {
  MovedClock clock;
  testkit::Api api(contract("deprecated-since: 2026-01-01, sunset: 2026-12-31, successor: getNew"), {}, {}, {}, &clock);
  ASSERT_EQ(api.complaints, "");
  for (const auto& [target, status, headers] :
       {std::tuple{"/old/7", 200, testkit::HeaderList{}}, std::tuple{"/old/x", 400, testkit::HeaderList{}},
        std::tuple{"/old/7", 406, testkit::HeaderList{{"accept", "image/png"}}}}) {
    const auto answer = api.client->get(target, headers);
    EXPECT_EQ(answer.status, status) << target;
    EXPECT_EQ(answer.header("deprecation"), "@1767225600");
    EXPECT_EQ(answer.header("sunset"), "Thu, 31 Dec 2026 00:00:00 GMT");
    EXPECT_EQ(answer.header("link"), "</new/" + std::string(target).substr(5) + ">; rel=\"successor-version\"");
  }
  for (const auto* target : {"/new/7", "/all", "/nowhere"}) {
    const auto answer = api.client->get(target);
    for (const auto* name : {"deprecation", "sunset", "link"}) EXPECT_EQ(answer.header(name), "") << target << name;
  }
}

TEST(Deprecation, DatesAreDaysOfUtcOrInstants) {
  MovedClock clock;
  for (const auto& [written, seconds] :
       {std::pair{"1970-01-01", 0L}, std::pair{"2000-02-29", 951'782'400L}, std::pair{"2026-12-31", kSunset},
        std::pair{"'2026-12-31T00:00:00Z'", kSunset}, std::pair{"'2026-12-31t01:30:00.999+01:30'", kSunset},
        std::pair{"'2026-12-30T23:00:01-01:00'", kSunset + 1}, std::pair{"'9999-12-31T23:59:59Z'", 253'402'300'799L}}) {
    testkit::Api api(contract("after-sunset: gone, deprecated-since: " + std::string(written) + ", sunset: " + written),
                     {}, {}, {}, &clock);
    ASSERT_EQ(api.complaints, "") << written;
    const auto answer = api.client->get("/old/7");
    EXPECT_EQ(answer.status, seconds * 1'000'000'000. <= static_cast<double>(clock.wall()) ? 410 : 200) << written;
    EXPECT_EQ(answer.header("deprecation"), "@" + std::to_string(seconds)) << written;
    EXPECT_EQ(answer.header("sunset"), http::as_text(http::format_date(seconds))) << written;
  }
}

TEST(Deprecation, WithoutADateHasNoHeaderAndAsksForOne) {
  testkit::Api api(contract("successor: /v2/old"));
  ASSERT_EQ(api.complaints, "");
  const auto answer = api.client->get("/old/7");
  EXPECT_EQ(answer.header("deprecation"), "") << "RFC 9745 knows no Deprecation without a date";
  EXPECT_EQ(answer.header("link"), "</v2/old>; rel=\"successor-version\"");
  const auto& remarks = api.instance->remarks();
  const auto about = std::ranges::count_if(remarks, [](auto& each) { return each.contains("`deprecated-since:"); });
  EXPECT_EQ(about, 1) << testing::PrintToString(remarks);
}

TEST(Deprecation, ASuccessorIsAnOperationAPathOrAUrlWithValuesOfTheRequest) {
  for (const auto& [successor, link] :
       {std::pair{"getNew", "/new/7%2F"}, std::pair{"getAll", "/all"}, std::pair{"/v2/orders", "/v2/orders"},
        std::pair{"'/v2/orders/{id}/lines'", "/v2/orders/7%2F/lines"},
        std::pair{"'https://b.example/{id}?full#a'", "https://b.example/7%2F?full#a"}}) {
    testkit::Api api(contract("successor: " + std::string(successor)));
    ASSERT_EQ(api.complaints, "") << successor;
    EXPECT_EQ(api.client->get("/old/7%2F").header("link"), "<" + std::string(link) + ">; rel=\"successor-version\"");
  }
}

TEST(Deprecation, AfterTheSunsetTheOperationIsGoneFromThatInstantOn) {
  MovedClock clock;
  testkit::Api api(contract("sunset: 2026-12-31, successor: getNew, after-sunset: gone"), {}, {}, {}, &clock);
  ASSERT_EQ(api.complaints, "");
  clock.now = kSunset * kSecond - 1;
  EXPECT_EQ(api.client->get("/old/7").status, 200);
  clock.now = kSunset * kSecond;
  const auto gone = api.client->get("/old/7");
  EXPECT_EQ(gone.status, 410);
  EXPECT_EQ(gone.problem, "operation-gone");
  EXPECT_EQ(member(gone.body, "detail"),
            "Operation getOld ended on Thu, 31 Dec 2026 00:00:00 GMT. Its successor is /new/7.");
  EXPECT_EQ(gone.header("sunset"), "Thu, 31 Dec 2026 00:00:00 GMT");
  EXPECT_EQ(gone.header("link"), "</new/7>; rel=\"successor-version\"");
  EXPECT_EQ(api.client->get("/new/7").status, 200);
}

TEST(Deprecation, AfterTheSunsetTheOperationIsServedUnlessTheContractSaysGone) {
  MovedClock clock;
  for (const auto& [keys, top, status] :
       {std::tuple{"sunset: 2026-12-31", "", 200}, std::tuple{"sunset: 2026-12-31, after-sunset: serve", "", 200},
        std::tuple{"sunset: 2026-12-31, after-sunset: serve", ", after-sunset: gone", 200},
        std::tuple{"sunset: 2026-12-31", ", after-sunset: gone", 410}, std::tuple{"", ", after-sunset: gone", 200},
        std::tuple{"", ", sunset: 2026-12-31, after-sunset: gone", 410},
        std::tuple{"deprecation: {mode: shadow}", ", sunset: 2026-12-31, after-sunset: gone", 200},
        std::tuple{"deprecation: off", ", sunset: 2026-12-31, after-sunset: gone", 200}}) {
    testkit::Api api(contract(keys, top), {}, {}, {}, &clock);
    ASSERT_EQ(api.complaints, "") << keys << top;
    clock.now = kSunset * kSecond;
    EXPECT_EQ(api.client->get("/old/7").status, status) << keys << top;
    EXPECT_EQ(api.client->get("/new/7").status, 200) << "outer scopes are about deprecated operations only";
  }
}

TEST(Deprecation, TheLinkToTheSuccessorStandsBesideThoseOfPages) {
  testkit::Api api(std::string(kHead) + R"(x-plimsoll:
  authorization: any-caller
  tables: {notes: {schema: '#/components/schemas/Note'}}
paths:
  /notes:
    get:
      operationId: listNotes
      deprecated: true
      x-plimsoll: {table: notes, deprecated-since: 2026-01-01, successor: /v2/notes}
      responses: {'200': {description: ok}}
    post:
      operationId: addNote
      x-plimsoll: {table: notes}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: ok}}
components:
  schemas:
    Note: {type: object, required: [id, text], properties: {id: {type: integer, readOnly: true}, text: {type: string}}}
)");
  ASSERT_EQ(api.complaints, "");
  for (int i = 0; i < 3; ++i) ASSERT_EQ(api.client->post("/notes", R"({"text":"a"})").status, 201);
  const auto page = api.client->get("/notes?limit=2");
  ASSERT_EQ(page.status, 200) << page.body;
  const auto lines = std::ranges::count_if(page.headers, [](auto& header) { return header.first == "link"; });
  EXPECT_EQ(lines, 1);
  const auto link = std::string(page.header("link"));
  EXPECT_TRUE(link.contains("rel=\"next\"")) << link;
  EXPECT_TRUE(link.ends_with(", </v2/notes>; rel=\"successor-version\"")) << link;
  EXPECT_EQ(api.client->get("/notes").header("link"), "</v2/notes>; rel=\"successor-version\"");
}

TEST(Deprecation, MistakesStopTheStartWithLineAndSuggestion) {
  struct Mistake {
    std::string_view keys, top, at, said;
    bool deprecated = true;
  };
  for (const auto& [keys, top, at, said, deprecated] : {
           Mistake{"sunset: 2026-02-30", "", ":9:28:", "\"2026-02-30\" is neither; did you mean \"2026-02-28\"?"},
           Mistake{"sunset: 2026-6-1", "", ":9:28:", "did you mean \"2026-06-01\"?"},
           Mistake{"deprecated-since: 2026/06/01", "", ":9:38:", "did you mean \"2026-06-01\"?"},
           Mistake{"sunset: 2026-13-01", "", ":9:28:", "`sunset` is a date such as 2026-12-31"},
           Mistake{"sunset: 2026", "", ":9:28:", "`sunset` is a date such as 2026-12-31"},
           Mistake{"sunset: tomorrow", "", ":9:28:", "\"tomorrow\" is neither"},
           Mistake{"sunset: 1969-12-31", "", ":9:28:", "from 1970 on"},
           Mistake{"sunset: '2026-12-31T25:00:00Z'", "", ":9:28:", "did you mean \"2026-12-31\"?"},
           Mistake{"sunset: '9999-12-31T23:59:59-01:00'", "", ":9:28:", "is neither"},
           Mistake{"deprecated-since: 2026-06-02, sunset: 2026-06-01", "",
                   ":9:58:", "`sunset` 2026-06-01 is before `deprecated-since` 2026-06-02"},
           Mistake{"sunset: 2026-06-01", ", deprecated-since: 2026-06-02", ":9:28:", "is before `deprecated-since`"},
           Mistake{"after-sunset: gone", "", ":9:34:", "add `sunset: 2026-12-31`"},
           Mistake{"sunset: 2026-06-01, after-sunset: vanish", "", ":9:54:", "one of serve, gone is expected"},
           Mistake{"successor: getNwe", "", ":9:31:", "did you mean \"getNew\"?"},
           Mistake{"successor: getOld", "", ":9:31:", "no successor of itself"},
           Mistake{"successor: ''", "", ":9:31:", "an operationId, a path such as /v2/orders or an http(s) URL"},
           Mistake{"successor: 5", "", ":9:31:", "an operationId, a path such as /v2/orders or an http(s) URL"},
           Mistake{"successor: 'ftp://a.example/b'", "", ":9:31:", "is none of them"},
           Mistake{"successor: 'https:///b'", "", ":9:31:", "is none of them"},
           Mistake{"successor: '/a b'", "", ":9:31:", "such as %20"},
           Mistake{"successor: '/a>,</b'", "", ":9:31:", "is no URI"},
           Mistake{"successor: '/a/{id'", "", ":9:31:", "is no URI"},
           Mistake{"successor: '/a/{order}'", "", ":9:31:", "{order}, which is no path parameter of GET /old/{id}"},
           Mistake{"sunset: 2026-06-01", "", ":8:28:", "add `deprecated: true`", false},
           Mistake{"successor: getNew", "", ":8:31:", "add `deprecated: true`", false},
           Mistake{"", ", sunset: 2026-02-30", ":3:", "did you mean \"2026-02-28\"?", false},
       }) {
    testkit::Api api(contract(keys, top, deprecated));
    EXPECT_TRUE(api.complaints.contains(at)) << keys << top << "\n" << api.complaints;
    EXPECT_TRUE(api.complaints.contains(said)) << keys << top << "\n" << api.complaints;
    EXPECT_EQ(api.complaints.find("error["), api.complaints.rfind("error[")) << "once: " << api.complaints;
  }
}

// --- who still calls ---

constexpr const Part* kParts[] = {&deprecation};
constexpr std::string_view kTwo = R"(
openapi: 3.1.0
info: {title: T, version: '1'}
paths:
  /a: {get: {operationId: a, deprecated: true, responses: {'200': {description: ok}}}}
  /b: {get: {operationId: b, deprecated: true, responses: {'200': {description: ok}}}}
)";

struct Counting : Trial {
  Counting() : Trial(kTwo, kParts) {}
  /// As a reload does: a policy of the next plan.
  std::unique_ptr<Policy> built(std::string_view operation) { return build(deprecation, operation, 1).value(); }
  void call(Policy& policy, std::string_view operation, std::string_view subject) {
    Exchange exchange(*this, operation, "192.0.2.1");
    if (!subject.empty()) exchange.principal(subject);
    ASSERT_TRUE(exchange.check(policy));
  }
  /// What is exposed for the operation, by caller.
  std::map<std::string, int> counted(const std::string& operation) const {
    const auto begin = "\nplimsoll_deprecated_requests_total{operation=\"" + operation + "\",caller=\"";
    const auto text = metrics.expose();
    std::map<std::string, int> found;
    for (auto at = text.find(begin); at != text.npos; at = text.find(begin, at + 1)) {
      const auto from = at + begin.size(), to = text.find("\"} ", from);
      found[text.substr(from, to - from)] = std::stoi(text.substr(to + 3));
    }
    return found;
  }
};

TEST(Deprecation, CountsRequestsByOperationAndCaller) {
  Counting trial;
  const auto a = trial.built("a"), b = trial.built("b");
  EXPECT_EQ(trial.counted("a"), (std::map<std::string, int>{{"anonymous", 0}})) << "a rate sees the first request";
  trial.call(*a, "a", "ada");
  trial.call(*a, "a", "ada");
  trial.call(*a, "a", "bob");
  trial.call(*a, "a", "");
  trial.call(*b, "b", "bob");
  EXPECT_EQ(trial.counted("a"), (std::map<std::string, int>{{"ada", 2}, {"anonymous", 1}, {"bob", 1}}));
  EXPECT_EQ(trial.counted("b"), (std::map<std::string, int>{{"anonymous", 0}, {"bob", 1}}));
}

TEST(Deprecation, AHundredCallersAreNamedWhateverIsReloadedAndTheRestAreOther) {
  Counting trial;
  int calls = 0;
  for (int reload = 0; reload < 3; ++reload) {
    const auto policy = trial.built("a");
    for (int i = 0; i < 150; ++i, ++calls)
      trial.call(*policy, "a", "caller " + std::to_string(reload == 0 ? i : reload * 1000 + i));
  }
  auto counted = trial.counted("a");
  EXPECT_EQ(counted.size(), 102u) << "100, anonymous and other";
  EXPECT_EQ(counted["other"], calls - 100);
  EXPECT_EQ(counted["caller 99"], 1);
  EXPECT_FALSE(counted.contains("caller 100"));
  const auto policy = trial.built("a");
  trial.call(*policy, "a", "caller 99");
  EXPECT_EQ(trial.counted("a")["caller 99"], 2) << "who is known stays known";
}

TEST(Deprecation, LongSubjectsAreCutBetweenCharacters) {
  Counting trial;
  const auto policy = trial.built("a");
  const auto cut = std::string(127, 'x');
  trial.call(*policy, "a", cut + "é and more");
  trial.call(*policy, "a", cut + "é and other");
  trial.call(*policy, "a", cut + "y");
  EXPECT_EQ(trial.counted("a"), (std::map<std::string, int>{{"anonymous", 0}, {cut, 2}, {cut + "y", 1}}));
}

TEST(Deprecation, ThreadsThatSeeACallerFirstCountItOnce) {
  Counting trial;
  const auto policy = trial.built("a");
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      Loop loop;
      Arena arena;
      for (int i = 0; i < 2000; ++i) {
        Context context(arena, loop, trial.services);
        Request request{.headers = Headers{arena}};
        const auto subject = "caller " + std::to_string(i % 150);
        const Principal principal{.subject = subject};
        context.principal = &principal;
        (void)policy->as_check()->check(request, context);
      }
    });
  threads.clear();
  const auto counted = trial.counted("a");
  EXPECT_EQ(counted.size(), 102u);
  int all = 0;
  for (const auto& [caller, count] : counted) all += count;
  EXPECT_EQ(all, 8000);
}

}  // namespace
}  // namespace plimsoll::policy
