#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/handler/job/declaration.hpp"
#include "plimsoll/handler/job/run.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/queue/sql_queue.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

namespace plimsoll::handler::job {
namespace {

Result<Declaration> declared(std::string_view text, std::string_view method) {
  Arena arena;
  auto value = json::parse(text, arena);
  EXPECT_TRUE(value) << text;
  return read(*value, method);
}

TEST(JobDeclaration, TheMethodTellsTheAction) {
  EXPECT_EQ(declared(R"("report")", "POST")->action, Action::start);
  EXPECT_EQ(declared(R"("report")", "GET")->action, Action::status);
  EXPECT_EQ(declared(R"("report")", "DELETE")->action, Action::cancel);
  EXPECT_EQ(declared(R"({"kind":"report","action":"result"})", "GET")->action, Action::result);
  EXPECT_EQ(declared(R"({"kind":"report","action":"cancel"})", "POST")->action, Action::cancel);
}

TEST(JobDeclaration, WhatChangesSomethingIsNoGet) {
  EXPECT_FALSE(declared(R"({"kind":"report","action":"start"})", "GET"));
  EXPECT_FALSE(declared(R"({"kind":"report","action":"status"})", "POST"));
  EXPECT_FALSE(declared(R"({"kind":"report","action":"stop"})", "POST"));
  EXPECT_FALSE(declared(R"({"action":"status"})", "GET"));
  EXPECT_FALSE(declared(R"({"kind":"report","acton":"status"})", "GET"));
}

TEST(HttpRun, AUrlThatIsNoneIsRefusedAtTheStart) {
  Arena arena;
  for (auto* text : {R"("ftp://x")", R"("http://")", R"("http://user@x/")", R"({"url":"https://x:0/"})",
                     R"({"uri":"https://x"})", R"("http://mailer.internal/")", R"({"url":"http://127.example.com/"})",
                     R"({"url":"http://mailer.internal/","plain-http":"refused"})"}) {
    auto value = json::parse(text, arena);
    EXPECT_FALSE(run_http(*value, kSecond, "call", {})) << text;
  }
  auto fine = json::parse(R"({"url":"https://[::1]:9/x?y","headers":{"authorization":"Bearer t"}})", arena);
  EXPECT_TRUE(run_http(*fine, kSecond, "call", {}));
  fine = json::parse(R"({"url":"HTTP://mailer.internal/","plain-http":"allowed"})", arena);
  EXPECT_TRUE(run_http(*fine, kSecond, "call", {}));
}

/// A service that takes connections and never answers.
class Silent {
 public:
  Silent() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_, 8), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  }
  ~Silent() { ::close(socket_); }
  std::string url;

 private:
  int socket_;
};

/// How long a call of the silent service takes until it is given up.
Nanoseconds patience(const std::string& options, Nanoseconds attempt) {
  const database::TestFolder folder;
  auto database = database::open_sqlite({.path = folder / "jobs.db"}).value();
  queue::SqlQueue queue(*database, system_clock(), {});
  Arena arena;
  auto value = json::parse(options, arena);
  auto runner = run_http(*value, attempt, "call", {}).value();
  const auto begun = system_clock().steady();
  const auto answered = database::wait_for([&](Loop& loop) -> Task<Result<queue::Output>> {
    const queue::Record job{.id = "1", .kind = "call", .payload = "{}"};
    queue::Execution execution(loop, *database, queue, job);
    auto outcome = co_await runner->run(execution);
    runner.reset();  // it holds what lives on the loop
    co_return outcome;
  });
  EXPECT_FALSE(answered);
  if (!answered) EXPECT_EQ(answered.error().problem, &kDeadlineExceeded);
  return system_clock().steady() - begun;
}

TEST(HttpRun, TheServiceHasTheTimeOfTheAttemptUnlessItIsGivenLess) {
  const Silent service;
  const auto url = '"' + service.url + '"';
  for (const auto& options : {url, "{\"url\":" + url + "}"}) {
    const auto given = patience(options, 200 * kMillisecond);
    EXPECT_GE(given, 190 * kMillisecond) << options;
    EXPECT_LT(given, 20 * kSecond) << options;
  }
  EXPECT_LT(patience("{\"url\":" + url + ",\"timeout\":\"100ms\"}", 3600 * kSecond), 60 * kSecond);
}

/// Somebody holds the writer meanwhile: a job that used it would wait for its end.
TEST(SqlRun, AJobThatOnlyReadsDoesNotUseTheWriter) {
  const database::TestFolder folder;
  auto database = database::open_sqlite({.path = folder / "jobs.db"}).value();
  queue::SqlQueue queue(*database, system_clock(), {});
  std::ofstream(folder / "api.yaml") << "openapi: 3.1.0\ninfo: {title: Jobs, version: '1'}\npaths: {}\n";
  auto contract = contract::load({.file = folder / "api.yaml"});
  ASSERT_TRUE(contract);
  Arena arena;
  auto value = json::parse(R"({"sql":"SELECT 1 UNION SELECT 'two' ORDER BY 1","result":{"type":"text/plain"}})", arena);
  const contract::Contract* const contracts[] = {contract->get()};
  auto made = run_sql(*value, RequestSources{contracts, "report"});
  ASSERT_TRUE(made) << made.error().detail;
  const auto output = database::wait_for([&](Loop& loop) -> Task<Result<queue::Output>> {
    auto held = co_await database->begin(loop);
    EXPECT_TRUE(held);
    const queue::Record job{.id = "1", .kind = "report", .payload = "{}"};
    queue::Execution execution(loop, *database, queue, job);
    auto outcome = co_await made->runner->run(execution);
    auto ended = co_await (*held)->end(false);
    EXPECT_TRUE(ended) << "the transaction was still open";
    co_return outcome;
  });
  ASSERT_TRUE(output);
  EXPECT_EQ(output->bytes, "1\ntwo\n");
  EXPECT_EQ(output->media_type, "text/plain");
  EXPECT_FALSE(database->only_reads("DELETE FROM plimsoll_jobs").value_or(false));
}

}  // namespace
}  // namespace plimsoll::handler::job
