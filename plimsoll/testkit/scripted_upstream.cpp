#include "plimsoll/testkit/scripted_upstream.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/net/dial.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

namespace plimsoll::testkit {
namespace {

constexpr std::size_t kMost = 64u << 20;  ///< bytes of a request

/// One connection, read by a thread of its own.
class Line {
 public:
  explicit Line(int socket) : socket_(socket) {}

  /// The next request; nothing at the end of the connection, or where it is no HTTP/1.1.
  std::optional<SentRequest> next() {
    std::size_t end = 0;
    while ((end = read_.find("\r\n\r\n")) == read_.npos)
      if (!more()) return std::nullopt;
    const auto head = take(end + 4);
    SentRequest made;
    const auto first = head.find("\r\n");
    const auto method = head.find(' '), target = head.rfind(' ', first);
    if (method == head.npos || target <= method) return std::nullopt;
    made.method = head.substr(0, method);
    made.target = head.substr(method + 1, target - method - 1);
    for (auto at = first + 2; at + 2 < head.size();) {
      const auto stop = head.find("\r\n", at), colon = head.find(':', at);
      if (colon >= stop) return std::nullopt;
      auto name = head.substr(at, colon - at);
      for (auto& c : name) c = lower(c);
      const auto value = head.find_first_not_of(" \t", colon + 1);
      made.headers.emplace_back(std::move(name), head.substr(value, stop - value));
      at = stop + 2;
    }
    if (!body(made)) return std::nullopt;
    return made;
  }
  bool send(std::string_view text) {
    while (!text.empty()) {
      const auto n = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// Its end will be a reset.
  void reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  /// Until the other end is gone, or this one is shut down.
  void wait_until_gone() {
    pollfd wait{.fd = socket_.get(), .events = POLLRDHUP, .revents = 0};
    (void)::poll(&wait, 1, -1);
  }
  void shut_down() {
    if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);
  }
  void close() { socket_ = net::Socket{}; }

 private:
  bool body(SentRequest& made) {
    if (made.header("transfer-encoding").contains("chunked")) {
      for (;;) {
        std::size_t end = 0;
        while ((end = read_.find("\r\n")) == read_.npos)
          if (!more()) return false;
        std::size_t size = 0;
        std::from_chars(read_.data(), read_.data() + end, size, 16);
        while (read_.size() < end + 2 + size + 2)
          if (size > kMost || !more()) return false;
        made.body += read_.substr(end + 2, size);
        read_.erase(0, end + 2 + size + 2);
        if (size == 0) return true;
      }
    }
    const auto length = made.header("content-length");
    std::size_t size = 0;
    std::from_chars(length.data(), length.data() + length.size(), size);
    while (read_.size() < size)
      if (size > kMost || !more()) return false;
    made.body = take(size);
    return true;
  }
  std::string take(std::size_t bytes) {
    auto taken = read_.substr(0, bytes);
    read_.erase(0, bytes);
    return taken;
  }
  bool more() {
    std::array<char, 64 * 1024> bytes;
    const auto n = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (n <= 0 || read_.size() > kMost) return false;
    read_.append(bytes.data(), static_cast<std::size_t>(n));
    return true;
  }
  net::Socket socket_;
  std::string read_;
};

std::string answer_of(const Reaction& reaction) {
  bool typed = false;
  auto text = "HTTP/1.1 " + std::to_string(reaction.status) + " Scripted\r\n";
  for (const auto& [name, value] : reaction.headers) {
    text += name + ": " + value + "\r\n";
    typed |= same_as_lower(name, "content-type");
  }
  if (!typed && !reaction.body.empty()) text += "content-type: application/json\r\n";
  return text + "content-length: " + std::to_string(reaction.body.size()) + "\r\n\r\n" + reaction.body;
}

}  // namespace

std::string_view SentRequest::header(std::string_view name) const {
  for (const auto& [known, value] : headers)
    if (known == name) return value;
  return {};
}

struct ScriptedUpstream::State {
  explicit State(Script first) : script(std::move(first)) {
    sockaddr_in where{};
    where.sin_family = AF_INET;
    where.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    auto size = static_cast<socklen_t>(sizeof where);
    auto* at = reinterpret_cast<sockaddr*>(&where);
    if (!listener || ::bind(listener.get(), at, size) != 0 || ::listen(listener.get(), 64) != 0 ||
        ::getsockname(listener.get(), at, &size) != 0)
      throw std::runtime_error(std::string("a scripted upstream cannot listen: ") + std::strerror(errno));
    port = ::ntohs(where.sin_port);
    accepting = std::thread([this] { accept(); });
  }
  ~State() {
    ::shutdown(listener.get(), SHUT_RDWR);
    accepting.join();
    {
      const std::scoped_lock lock(mutex);
      ended = true;
      for (auto& line : lines) line.shut_down();
    }
    rest.notify_all();
    for (auto& thread : threads) thread.join();
  }
  void accept() {
    for (;;) {
      const int accepted = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (accepted < 0) return;
      const std::scoped_lock lock(mutex);
      auto& line = lines.emplace_back(accepted);
      threads.emplace_back([this, &line] {
        while (auto request = line.next())
          if (!answer(line, *std::move(request))) break;
        const std::scoped_lock done(mutex);
        line.close();
      });
    }
  }
  /// Whether another request may follow.
  bool answer(Line& line, SentRequest request) {
    Script now;
    {
      const std::scoped_lock lock(mutex);
      requests.push_back(request);
      now = script;
    }
    Reaction reaction;
    {
      const std::scoped_lock lock(turn);
      reaction = now(request);
    }
    {
      std::unique_lock lock(mutex);
      if (rest.wait_for(lock, reaction.after, [this] { return ended; })) return false;
    }
    const auto text = answer_of(reaction);
    switch (reaction.fault) {
      case Fault::none: return line.send(request.method == "HEAD" ? text.substr(0, text.find("\r\n\r\n") + 4) : text);
      case Fault::refuses: line.reset(); return false;
      case Fault::cuts:
        (void)line.send(text.substr(0, text.size() - (reaction.body.size() + 1) / 2)), line.reset();
        return false;
      case Fault::garbage: (void)line.send("\x16\x03garbage\r\n\r\n"); return false;
      case Fault::silent: line.wait_until_gone(); return false;
    }
    return false;
  }

  net::Socket listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port = 0;
  mutable std::mutex mutex;
  std::mutex turn;  ///< of scripts, which may ask for `requests`
  std::condition_variable rest;
  bool ended = false;
  Script script;
  std::vector<SentRequest> requests;
  std::list<Line> lines;
  std::vector<std::thread> threads;
  std::thread accepting;
};

ScriptedUpstream::ScriptedUpstream(Script script) : state_(std::make_unique<State>(std::move(script))) {}
ScriptedUpstream::ScriptedUpstream(Reaction always)
    : ScriptedUpstream([always = std::move(always)](const SentRequest&) { return always; }) {}
ScriptedUpstream::~ScriptedUpstream() = default;

void ScriptedUpstream::becomes(Script script) {
  const std::scoped_lock lock(state_->mutex);
  state_->script = std::move(script);
}
void ScriptedUpstream::becomes(Reaction always) {
  becomes([always = std::move(always)](const SentRequest&) { return always; });
}
std::vector<SentRequest> ScriptedUpstream::requests() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->requests;
}
std::string ScriptedUpstream::url() const { return "http://127.0.0.1:" + std::to_string(state_->port); }

}  // namespace plimsoll::testkit
