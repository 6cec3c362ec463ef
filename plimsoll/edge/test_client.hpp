#pragma once

// For tests of the edge: a client that speaks raw bytes, and never waits longer than a deadline.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <string_view>

namespace plimsoll::edge {

class TestClient {
 public:
  explicit TestClient(const std::string& address) {
    const auto colon = address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connected = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~TestClient() { close(); }
  TestClient(const TestClient&) = delete;

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void finish() { ::shutdown(socket_, SHUT_WR); }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  /// Reads until `text` has been read, or the end, or the deadline. All that was read so far.
  const std::string& until(std::string_view text, std::chrono::milliseconds span = std::chrono::seconds(5)) {
    const auto end = std::chrono::steady_clock::now() + span;
    while (received.find(text) == received.npos && read(end)) {}
    return received;
  }
  /// Reads to the end; `ended` says whether there was one before the deadline.
  const std::string& all(std::chrono::milliseconds span = std::chrono::seconds(5)) {
    const auto end = std::chrono::steady_clock::now() + span;
    while (read(end)) {}
    return received;
  }

  std::string received;
  bool connected = false, ended = false, reset = false;

 private:
  bool read(std::chrono::steady_clock::time_point end) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd wait{.fd = socket_, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) return false;
    char buffer[65536];
    const auto n = ::recv(socket_, buffer, sizeof buffer, 0);
    if (n > 0) received.append(buffer, static_cast<std::size_t>(n));
    ended |= n == 0;
    reset |= n < 0;
    return n > 0;
  }
  int socket_ = -1;
};

}  // namespace plimsoll::edge
