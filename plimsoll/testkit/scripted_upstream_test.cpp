#include "plimsoll/testkit/scripted_upstream.hpp"

#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/handler/upstream/argument.hpp"
#include "plimsoll/testkit/service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <string>
#include <vector>

namespace plimsoll::testkit {
namespace {

constexpr auto kContract = R"(
openapi: 3.1.0
info: {title: Fees, version: 1.0.0}
paths:
  /fees/{currency}:
    get:
      operationId: fee
      security: []
      parameters: [{name: currency, in: path, required: true, schema: {type: string}}]
      responses:
        '200': {description: The fee, content: {application/json: {schema: {type: object, required: [amount], properties: {amount: {type: number}}}}}}
  /notes:
    get: {operationId: listNotes, security: [], x-plimsoll: {table: notes}, responses: {'200': {description: Notes}}}
    post:
      operationId: addNote
      security: []
      x-plimsoll: {table: notes, authorization: any-caller}
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: The note}}
x-plimsoll:
  tables: {notes: {schema: '#/components/schemas/Note'}}
components:
  schemas:
    Note: {type: object, required: [id, text], properties: {id: {type: string}, text: {type: string}}}
)";
constexpr auto kDeployment = R"(
upstreams:
  rates:
    targets: ['https://rates.example.com']
    retry: {attempts: 2, base: 1ms}
    timeouts: {first-byte: 300ms}
)";

struct Rate {
  double rate;
};
struct Fee {
  double amount;
};
Task<Result<Json<Fee>>> fee(::plimsoll::Upstream<"rates"> rates, Parameter<"currency"> currency) {
  auto rate = co_await rates.get<Rate>("/rates/" + std::string(*currency));
  if (!rate) co_return passed_on(rate);
  co_return Fee{20 * rate->rate};
}

class Scripted : public testing::Test {
 protected:
  Scripted() {
    std::ofstream(folder_ / "fees.yaml") << kContract;
    std::ofstream(folder_ / "plimsoll.yaml") << kDeployment;
  }
  ServiceOptions options(const std::string& database = {}) const {
    return {.contract = folder_ / "fees.yaml",
            .deployment = folder_ / "plimsoll.yaml",
            .program = [](Application& application) { application.on("fee", fee); },
            .database = database,
            .upstreams = {{"rates", &rates_}}};
  }
  database::TestFolder folder_;
  ScriptedUpstream rates_{Reaction{.body = R"({"rate":1.25})"}};
};

TEST_F(Scripted, AServiceAnswersAsTheTestSaysAndTellsWhatItWasSent) {
  Service fees{options()};
  auto anyone = fees.anonymous();
  EXPECT_EQ(anyone.get("/fees/EUR").body, R"({"amount":25})");
  rates_.becomes(Reaction{.body = R"({"rate":2})", .headers = {{"x-more", "yes"}}});
  EXPECT_EQ(anyone.get("/fees/CHF").body, R"({"amount":40})");
  const auto sent = rates_.requests();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[1].method, "GET");
  EXPECT_EQ(sent[1].target, "/rates/CHF");
  EXPECT_THAT(std::string(sent[1].header("traceparent")), testing::StartsWith("00-"));
  EXPECT_EQ("http://" + std::string(sent[1].header("host")), rates_.url());
}

TEST_F(Scripted, OneThatFailsOnceIsAskedAgain) {
  for (const auto& bad : std::vector<Reaction>{{.status = 503},
                                               {.fault = Fault::refuses},
                                               {.fault = Fault::garbage},
                                               {.body = R"({"rate":1})", .fault = Fault::cuts},
                                               {.body = R"({"rate":1})", .after = std::chrono::minutes{1}},
                                               {.fault = Fault::silent}}) {
    Service fees{options()};
    std::atomic<int> number{0};
    rates_.becomes([&](const SentRequest&) { return number++ == 0 ? bad : Reaction{.body = R"({"rate":3})"}; });
    const auto said = fees.anonymous().get("/fees/EUR");
    const bool cut = bad.fault == Fault::cuts;  // its head has come: it is not asked for again
    EXPECT_EQ(said.status, cut ? 502 : 200) << static_cast<int>(bad.fault) << " " << said.body;
    EXPECT_EQ(number, cut ? 1 : 2) << static_cast<int>(bad.fault);
  }
}

TEST_F(Scripted, OneThatAlwaysFailsIsABadGateway) {
  Service fees{options()};
  rates_.becomes(Reaction{.status = 500, .body = R"({"sorry":true})"});
  const auto said = fees.anonymous().get("/fees/EUR");
  EXPECT_EQ(said.status, 502);
  EXPECT_EQ(said.problem, "bad-answer");
}

TEST_F(Scripted, EachServiceOnPostgresHasASchemaOfItsOwn) {
  auto* server = database::PostgresServer::shared();
  if (!server) GTEST_SKIP() << "PostgreSQL is not installed";
  Service one{options(server->url())}, other{options(server->url())};
  EXPECT_EQ(one.anonymous().post("/notes", R"({"id":"a","text":"b"})").status, 201);
  EXPECT_EQ(one.sql<std::string>("SELECT text FROM notes"), std::vector<std::string>{"b"});
  EXPECT_EQ(other.sql<std::string>("SELECT text FROM notes"), std::vector<std::string>{});
}

}  // namespace
}  // namespace plimsoll::testkit
