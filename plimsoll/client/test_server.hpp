#pragma once

// For tests only.

#include "plimsoll/base/clock.hpp"
#include "plimsoll/net/test_listener.hpp"

#include <poll.h>

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace plimsoll::client {

class TestServer;

/// What a test server was sent.
struct Seen {
  std::string head, body;
};

/// One connection of a test server, on a thread of its own.
class TestLine {
 public:
  TestLine(TestServer& server, int descriptor, int number) : server_(server), socket_(descriptor), number_(number) {}

  int number() const { return number_; }
  /// A whole request, kept in `TestServer::seen`; false when there is none.
  bool request() {
    const auto head = this->head();
    return !head.empty() && body(head);
  }
  /// The head of a request, with its empty line.
  std::string head() {
    std::size_t end = 0;
    while ((end = read_.find("\r\n\r\n")) == read_.npos)
      if (!more()) return {};
    auto head = read_.substr(0, end + 4);
    read_.erase(0, end + 4);
    return head;
  }
  /// The body that follows `head`.
  bool body(const std::string& head);
  /// So many bytes; fewer where the client ends before.
  std::string bytes(std::size_t count) {
    while (read_.size() < count)
      if (!more()) break;
    auto taken = read_.substr(0, count);
    read_.erase(0, count);
    return taken;
  }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto n = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// Until the client is gone, reading nothing, or the test ends.
  void wait_until_gone() {
    pollfd wait{.fd = socket_.get(), .events = POLLRDHUP, .revents = 0};
    (void)::poll(&wait, 1, -1);
  }
  void rest(Nanoseconds span) { std::this_thread::sleep_for(std::chrono::nanoseconds(span)); }
  /// Ends the connection with a reset.
  void reset();

 private:
  friend class TestServer;
  bool more() {
    char bytes[64 * 1024];
    const auto n = ::recv(socket_.get(), bytes, sizeof bytes, 0);
    if (n <= 0) return false;
    read_.append(bytes, static_cast<std::size_t>(n));
    return true;
  }
  TestServer& server_;
  net::Socket socket_;
  const int number_;
  std::string read_;
};

/// What a connection does from its beginning to its end.
using Script = std::function<void(TestLine&)>;

/// A server that does with each connection what a script says, for tests of clients.
class TestServer {
 public:
  explicit TestServer(Script script) : script_(std::move(script)), accepting_([this] { accept(); }) {}
  ~TestServer() {
    ::shutdown(listener_.socket.get(), SHUT_RDWR);
    accepting_.join();
    {
      const std::scoped_lock lock(mutex_);
      for (auto& each : lines_)
        if (each->socket_) ::shutdown(each->socket_.get(), SHUT_RDWR);
    }
    for (auto& thread : threads_) thread.join();
  }

  std::string authority() const { return "127.0.0.1:" + std::to_string(listener_.port); }
  std::string url(std::string_view target) const { return "http://" + authority() + std::string(target); }
  int connections() {
    const std::scoped_lock lock(mutex_);
    return static_cast<int>(lines_.size());
  }
  void wait_for_connections(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return static_cast<int>(lines_.size()) >= count; });
  }
  std::vector<Seen> seen() {
    const std::scoped_lock lock(mutex_);
    return seen_;
  }

 private:
  friend class TestLine;
  void accept() {
    for (;;) {
      const int accepted = ::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (accepted < 0) return;
      const std::scoped_lock lock(mutex_);
      auto& line = *lines_.emplace_back(std::make_unique<TestLine>(*this, accepted, static_cast<int>(lines_.size())));
      threads_.emplace_back([this, &line] {
        script_(line);
        const std::scoped_lock lock(mutex_);
        line.socket_ = net::Socket{};
      });
      changed_.notify_all();
    }
  }
  const net::TestListener listener_{"127.0.0.1", 0, 64};
  const Script script_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<TestLine>> lines_;
  std::vector<std::thread> threads_;
  std::vector<Seen> seen_;
  std::thread accepting_;  // last: it uses the others
};

inline void TestLine::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  const std::scoped_lock lock(server_.mutex_);
  socket_ = net::Socket{};
}

inline bool TestLine::body(const std::string& head) {
  std::string body;
  if (head.contains("transfer-encoding: chunked")) {
    for (;;) {
      std::size_t end = 0;
      while ((end = read_.find("\r\n")) == read_.npos)
        if (!more()) return false;
      std::size_t size = 0;
      std::from_chars(read_.data(), read_.data() + end, size, 16);
      while (read_.size() < end + 2 + size + 2)
        if (!more()) return false;
      body += read_.substr(end + 2, size);
      read_.erase(0, end + 2 + size + 2);
      if (size == 0) break;
    }
  } else if (const auto at = head.find("content-length: "); at != head.npos) {
    std::size_t size = 0;
    std::from_chars(head.data() + at + 16, head.data() + head.size(), size);
    while (read_.size() < size)
      if (!more()) return false;
    body = read_.substr(0, size);
    read_.erase(0, size);
  }
  const std::scoped_lock lock(server_.mutex_);
  server_.seen_.push_back({head, std::move(body)});
  return true;
}

}  // namespace plimsoll::client
