// Connections that come to a standstill, at each place at which they can: what their limits and a drain make of them.
// The other direction is client/service_test.cpp.

#include "plimsoll/edge/server.hpp"
#include "plimsoll/edge/test_client.hpp"
#include "plimsoll/edge/test_service.hpp"
#include "plimsoll/net/test_certificate.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace plimsoll::edge {
namespace {

using namespace std::chrono_literals;

struct Hang {
  const char* name;
  bool tls;
  std::string_view sent;
};

using namespace std::string_view_literals;
constexpr Hang kHangs[] = {
    {"no byte", false, ""},
    {"half a request line", false, "GET /hel"},
    {"half a head", false, "GET /hello HTTP/1.1\r\nHost: a\r\nX-"},
    {"half the preface of HTTP/2", false, "PRI * HTTP/2.0\r\n"},
    {"no hello of TLS", true, ""},
    {"half a hello of TLS", true, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"sv},
    {"half a body", false, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf"},
    {"half a chunk", false, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha"},
    {"an answer that nobody takes", false, "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"a service that waits", false, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"},
    {"an idle connection", false, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"},
};
constexpr std::size_t kBeforeTheHead = 6;  ///< the first of them: no head is whole

struct Running {
  explicit Running(const Limits& limits) {
    const auto certificate = net::TestCertificate::make("localhost");
    auto started = start(service,
                         {{.address = "127.0.0.1:0", .certificate = {}, .key = {}},
                          {.address = "127.0.0.1:0", .certificate = certificate.certificate, .key = certificate.key}},
                         limits, 1);
    EXPECT_TRUE(started) << started.error().detail;
    server = std::move(*started);
  }
  TestClient& connect(const Hang& hang) {
    auto& client = clients.emplace_back(server->addresses()[hang.tls ? 1 : 0]);
    EXPECT_TRUE(client.connected && client.send(hang.sent)) << hang.name;
    return client;
  }
  /// Returns when everything that was sent before has been looked at: there is one thread.
  void settle() {
    for (int i = 0; i < 3; ++i) {
      TestClient other{server->addresses()[0]};
      other.send("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
      EXPECT_TRUE(other.all().ends_with("hello"));
    }
  }
  TestService service;
  std::unique_ptr<Server> server;
  std::deque<TestClient> clients;
};

TEST(Hang, ALimitEndsAConnectionThatDoesNotComeToARequest) {
  Running running{{.first_byte = config::milliseconds(50), .head_time = config::milliseconds(50)}};
  for (std::size_t i = 0; i < kBeforeTheHead; ++i) running.connect(kHangs[i]);
  for (std::size_t i = 0; i < kBeforeTheHead; ++i) {
    auto& client = running.clients[i];
    client.all(30s);
    EXPECT_TRUE(client.ended || client.reset) << kHangs[i].name;
  }
}

TEST(Hang, ADrainEndsEveryConnectionWhateverHangs) {
  // No other limit would end one of them in this test's time.
  Running running{{.first_byte = config::hours(1),
                   .head_time = config::hours(1),
                   .body_rate = {0},
                   .response_rate = {0},
                   .idle = config::hours(1),
                   .drain = config::milliseconds(50)}};
  for (const auto& hang : kHangs) running.connect(hang);
  running.settle();
  running.server->drain();
  running.server->wait();  // a connection that hangs fails by the test's timeout
  for (std::size_t i = 0; i < std::size(kHangs); ++i) {
    auto& client = running.clients[i];
    client.all(30s);
    EXPECT_TRUE(client.ended || client.reset) << kHangs[i].name;
  }
  EXPECT_EQ(running.service.stopped, 1);
}

}  // namespace
}  // namespace plimsoll::edge
