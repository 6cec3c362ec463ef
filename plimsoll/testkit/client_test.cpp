#include "plimsoll/testkit/client.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/server/application.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>

namespace plimsoll::testkit {
namespace {

constexpr auto kContract = R"(openapi: 3.1.0
info: {title: Greeter, version: 1.2.3}
x-plimsoll:
  authorization: any-caller
  cors: https://app.example.com
paths:
  /hello/{name}:
    parameters:
      - {name: name, in: path, required: true, schema: {type: string}}
    get:
      operationId: hello
      responses: {'200': {description: ok}}
    post:
      operationId: refuse
      responses: {'200': {description: ok}}
  /slow:
    get:
      operationId: slow
      x-plimsoll: {deadline: 20ms}
      responses: {'200': {description: ok}}
)";

class Waits final : public Waiting {
 public:
  void stop(Stop) noexcept override { handle.resume(); }
  std::coroutine_handle<> handle;
};

/// Stands still until its scope is told to stop.
struct ForEver {
  Waits waits;
  Scope* scope = nullptr;
  bool await_ready() const noexcept { return false; }
  template <class P>
  void await_suspend(std::coroutine_handle<P> who) {
    scope = who.promise().scope;
    waits.handle = who;
    scope->wait_at(waits);
  }
  Stop await_resume() {
    scope->go_on();
    return scope->stopped();
  }
};

class ServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto pattern = (std::filesystem::temp_directory_path() / "plimsoll-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    std::ofstream(folder / "greeter.yaml") << kContract;
    Application application{(folder / "greeter.yaml").string()};
    application.on("hello", [](Request&, Context& context) -> Task<Result<Response>> {
      Response response{.status = 200, .headers = Headers{context.arena}, .body = lasting(context.path_values[0])};
      response.headers.add("content-type", "text/plain");
      co_return response;
    });
    application.on("refuse", [](Request&, Context&) -> Task<Result<Response>> {
      throw std::runtime_error("secret inside");
      co_return fail(kInternal);
    });
    application.on("slow", [](Request&, Context&) -> Task<Result<Response>> {
      const auto why = co_await ForEver{};
      co_return std::unexpected(error_of(why));
    });
    server::Settings settings;
    settings.quiet = true;
    std::ofstream(folder / "plimsoll.yaml") << "database: {url: 'sqlite:" << (folder / "greeter.db").string() << "'}\n";
    settings.config = (folder / "plimsoll.yaml").string();
    auto made = application.instance(settings);
    ASSERT_TRUE(made) << contract::to_string(made.error()[0]);
    instance = std::move(*made);
    client = std::make_unique<Client>(*instance);
  }
  void TearDown() override {
    client.reset();
    instance.reset();
    std::filesystem::remove_all(folder);
  }
  std::filesystem::path folder;
  std::unique_ptr<server::Instance> instance;
  std::unique_ptr<Client> client;
};

TEST_F(ServerTest, AnswersAnOperationInCpp) {
  const auto answer = client->get("/hello/world");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "world");
  EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
  EXPECT_EQ(answer.header("x-request-id").size(), 32u);
}

TEST_F(ServerTest, TellsWhatIsNotThere) {
  EXPECT_EQ(client->get("/nowhere").problem, "not-found");
  const auto wrong = client->request("DELETE", "/hello/world");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_NE(wrong.header("allow").find("GET"), std::string_view::npos);
  const auto options = client->request("OPTIONS", "/hello/world");
  EXPECT_EQ(options.status, 204);
  EXPECT_NE(options.header("allow").find("POST"), std::string_view::npos);
}

TEST_F(ServerTest, AnExceptionIsA500ThatTellsNothingOfTheInside) {
  const auto answer = client->request("POST", "/hello/world");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.body.find("secret"), std::string::npos);
  Arena arena;
  const auto body = json::parse(answer.body, arena);
  ASSERT_TRUE(body);
  EXPECT_EQ(body->find("code")->string(), "internal");
  EXPECT_EQ(body->find("trace_id")->string(), answer.header("x-request-id"));
}

TEST_F(ServerTest, PreflightsAreAnsweredForOriginsTheContractNames) {
  const HeaderList from = {{"origin", "https://app.example.com"}, {"access-control-request-method", "POST"}};
  const auto granted = client->request("OPTIONS", "/hello/world", from);
  EXPECT_EQ(granted.status, 204);
  EXPECT_EQ(granted.header("access-control-allow-origin"), "https://app.example.com");
  EXPECT_EQ(granted.header("access-control-allow-methods"), "POST");
  const auto refused = client->request("OPTIONS", "/hello/world",
                                       {{"origin", "https://evil.example"}, {"access-control-request-method", "POST"}});
  EXPECT_EQ(refused.problem, "cors-refused");
  EXPECT_EQ(refused.header("access-control-allow-origin"), "");
}

TEST_F(ServerTest, ContinuesTheCallersTrace) {
  const auto trace = "0af7651916cd43dd8448eb211c80319c";
  const auto answer = client->get(
      "/nowhere", {{"traceparent", "00-" + std::string(trace) + "-b7ad6b7169203331-01"}, {"x-request-id", "mine-1"}});
  EXPECT_EQ(answer.header("x-request-id"), "mine-1");
  EXPECT_NE(answer.body.find(trace), std::string::npos);
  const auto forged = client->get(
      "/nowhere",
      {{"x-request-id", "a\"b"}, {"traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01"}});
  EXPECT_EQ(forged.header("x-request-id").size(), 32u);
}

TEST_F(ServerTest, ADeadlineEndsAnAnswerThatWaits) { EXPECT_EQ(client->get("/slow").problem, "deadline-exceeded"); }

TEST_F(ServerTest, EveryProblemHasAPage) {
  EXPECT_EQ(client->get("/problems/not-found").status, 200);
  const auto page = client->get("/openapi.json");
  EXPECT_EQ(client->get("/openapi.json", {{"if-none-match", std::string(page.header("etag"))}}).status, 304);
  EXPECT_EQ(client->get("/healthz").body, R"({"status":"ok"})") << "one word for callers";
}

TEST_F(ServerTest, AHandlerWithoutAnOperationRefusesToStart) {
  Application application{(folder / "greeter.yaml").string()};
  application.on("helo", [](Request&, Context&) -> Task<Result<Response>> { co_return fail(kInternal); });
  server::Settings settings;
  settings.quiet = true;
  settings.config = (folder / "plimsoll.yaml").string();
  const auto made = application.instance(settings);
  ASSERT_FALSE(made);
  std::string all;
  for (const auto& each : made.error()) all += contract::to_string(each);
  EXPECT_NE(all.find("helo"), std::string::npos) << all;
}

}  // namespace
}  // namespace plimsoll::testkit
