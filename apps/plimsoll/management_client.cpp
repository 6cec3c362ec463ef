#include "apps/plimsoll/management_client.hpp"

#include "apps/plimsoll/commands.hpp"
#include "plimsoll/server/deployment.hpp"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <cerrno>
#include <CLI/CLI.hpp>
#include <cstring>

namespace plimsoll::command {
namespace {

constexpr Problem kNoServer{"no-server", 503, "The management listener cannot be reached",
                            "Start the server, or name its management listener: --management ADDRESS:PORT."};

constexpr std::size_t kLargestAnswer = 1 << 20;

/// A connection to an address of this machine's configuration, with so many seconds for each step.
class Connection {
 public:
  explicit Connection(int seconds) : seconds_(seconds) {}
  Connection(const Connection&) = delete;
  ~Connection() {
    if (socket_ >= 0) ::close(socket_);
  }
  Result<> open(const std::string& address) {
    const auto colon = address.rfind(':');
    if (colon == address.npos) return fail(kNoServer, "`" + address + "` is not ADDRESS:PORT");
    auto host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (host.empty()) host = "localhost";
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    if (const int wrong = ::getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found); wrong != 0)
      return fail(kNoServer, address + ": " + ::gai_strerror(wrong));
    std::string why = "no address";
    for (const auto* each = found; each && socket_ < 0; each = each->ai_next) {
      const int made = ::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, each->ai_protocol);
      const timeval patience{.tv_sec = seconds_, .tv_usec = 0};
      ::setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      ::setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      if (made >= 0 && ::connect(made, each->ai_addr, each->ai_addrlen) == 0) {
        socket_ = made;
      } else {
        why = std::strerror(errno);
        if (made >= 0) ::close(made);
      }
    }
    ::freeaddrinfo(found);
    if (socket_ < 0) return fail(kNoServer, "no management listener answers at " + address + ": " + why);
    return {};
  }

  Result<client::Answer> ask(const std::string& request) {
    for (std::string_view left = request; !left.empty();) {
      const auto sent = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
      if (sent <= 0) return fail(kNoServer, std::string("the request could not be sent: ") + std::strerror(errno));
      left.remove_prefix(static_cast<std::size_t>(sent));
    }
    client::ResponseReader reader{false};
    std::string body;
    char bytes[4096];
    while (!reader.whole()) {
      const auto got = ::recv(socket_, bytes, sizeof bytes, 0);
      if (got < 0) return fail(kNoServer, std::string("no response came: ") + std::strerror(errno));
      if (got == 0) {
        if (auto ended = reader.end(); !ended) return std::unexpected(std::move(ended).error());
      }
      for (std::string_view left{bytes, static_cast<std::size_t>(got)}; !left.empty() && !reader.whole();) {
        auto step = reader.read(left);
        if (!step) return std::unexpected(std::move(step).error());
        body += step->data;
        if (body.size() > kLargestAnswer)
          return fail(kNoServer, "the answer is too large to be of a management listener");
        left.remove_prefix(step->consumed);
      }
    }
    Arena arena;
    Headers fields{arena};
    reader.put_fields(fields);
    client::Answer answer{.status = reader.status(), .headers = {}, .body = std::move(body)};
    for (const auto& [name, value] : fields) answer.headers.emplace_back(name, value);
    return answer;
  }

 private:
  const int seconds_;
  int socket_ = -1;
};

}  // namespace

void add_options(CLI::App& app, Management& management) {
  app.add_option("--management", management.address,
                 "Address of the management listener; without it, that of plimsoll.yaml");
  app.add_option("--config", management.config, "The deployment")->type_name("FILE");
}

Result<client::Answer> ask(const Management& management, const std::string& target, int seconds) {
  auto address = management.address;
  if (address.empty()) {
    auto deployment = server::read_deployment(management.config);
    if (!deployment) return said(deployment.error());
    address = deployment->management;
  }
  if (address == "off") return fail(kNoServer, "the deployment has `management: off`");
  Connection connection{seconds};
  if (auto opened = connection.open(address); !opened) return std::unexpected(std::move(opened).error());
  return connection.ask(target + " HTTP/1.1\r\nHost: " + address +
                        "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

std::string text_of(const json::Value* body, std::string_view name) {
  const auto* found = body ? body->find(name) : nullptr;
  return found && found->is(json::Type::string) ? std::string(found->string()) : std::string{};
}

std::string refusal_of(const client::Answer& answer, const json::Value* body) {
  auto detail = text_of(body, "detail");
  return detail.empty() ? "the server answered " + std::to_string(answer.status) : detail;
}

}  // namespace plimsoll::command
