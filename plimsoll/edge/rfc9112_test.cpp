// The cases of plimsoll/http/h1_*_cases.hpp over real sockets: what is refused has no effect and is answered at once.

#include "plimsoll/edge/test_client.hpp"
#include "plimsoll/edge/test_service.hpp"
#include "plimsoll/http/h1_refused_cases.hpp"
#include "plimsoll/http/h1_served_cases.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace plimsoll::edge {
namespace {

using namespace std::chrono_literals;
using ::testing::StartsWith;

/// Reads each body to its end before it does anything, as the chain does before it calls a handler.
class WholeService final : public Service {
 public:
  Task<Response> serve(Request& request, Context& context) override {
    std::string text = std::string(request.method) + " " + std::string(request.target);
    std::string body;
    while (request.body) {
      auto piece = co_await request.body->read();
      if (!piece) co_return problem_document(piece.error(), context);
      if (piece->empty()) break;
      body.append(as_text(*piece));
    }
    if (!body.empty()) text += " " + body;
    const std::lock_guard lock(mutex);
    handled.push_back(text);
    co_return Response{.headers = Headers{context.arena}};
  }
  Response refused(const Error& error, Request&, Context& context) override { return problem_document(error, context); }
  void finished(const Request&, Context&) noexcept override {}
  const Services& services() const override { return services_; }
  std::vector<std::string> take() {
    const std::lock_guard lock(mutex);
    return std::exchange(handled, {});
  }

 private:
  std::mutex mutex;
  std::vector<std::string> handled;
  Services services_;
};

class Rfc9112 : public ::testing::Test {
 protected:
  void SetUp() override {
    Limits limits;
    limits.connections_per_address = 10'000;
    auto started = start(service, {{.address = "127.0.0.1:0", .certificate = {}, .key = {}}}, limits, 1);
    ASSERT_TRUE(started) << started.error().detail;
    server = std::move(*started);
  }
  /// Sends the bytes in pieces of at most `cut`, ends, and reads all: within 2 s.
  std::unique_ptr<TestClient> exchange(const std::string& bytes, std::size_t cut) {
    auto client = std::make_unique<TestClient>(server->addresses().front());
    for (std::size_t at = 0; at < bytes.size(); at += cut)
      if (!client->send(std::string_view(bytes).substr(at, cut))) break;
    client->finish();
    client->all(2s);
    return client;
  }
  WholeService service;
  std::unique_ptr<Server> server;
};

TEST_F(Rfc9112, WhatIsRefusedReachesNoHandlerAndHangsNobody) {
  const auto seed = std::random_device{}();
  std::mt19937 random{seed};
  for (const auto& each : h1::refused_cases()) {
    for (const std::size_t cut : {each.bytes.size(), std::size_t{1}, 1 + random() % 40}) {
      if (cut < 40 && each.bytes.size() > 2000) continue;
      const auto client = exchange(each.bytes, cut);
      EXPECT_TRUE(client->ended || client->reset) << each.name << ": not closed within 2 s";
      EXPECT_FALSE(client->reset) << each.name << ": reset before the answer was read";
      const auto status = each.status ? std::to_string(each.status) : std::string("400");
      EXPECT_THAT(client->received, StartsWith("HTTP/1.1 " + status)) << each.name << ", seed " << seed;
      EXPECT_EQ(client->received.find("HTTP/1.1", 1), std::string::npos) << each.name << ": more than one answer";
      EXPECT_THAT(service.take(), ::testing::IsEmpty()) << each.name;
    }
  }
}

TEST_F(Rfc9112, WhatIsOddButRightIsServed) {
  for (const auto& each : h1::served_cases()) {
    for (const std::size_t cut : {each.bytes.size(), std::size_t{1}}) {
      if (cut == 1 && each.bytes.size() > 2000) continue;
      const auto client = exchange(each.bytes, cut);
      EXPECT_TRUE(client->ended) << each.name;
      EXPECT_EQ(service.take(), each.messages) << each.name << ": " << client->received;
    }
  }
}

}  // namespace
}  // namespace plimsoll::edge
