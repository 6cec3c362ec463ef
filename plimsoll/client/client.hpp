#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/task.hpp"
#include "plimsoll/client/response_reader.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace plimsoll {
class Loop;
}

namespace plimsoll::client {

inline constexpr Problem kBadUrl{"bad-url", 400, "That is no http or https URL", "Correct the URL."};
inline constexpr Problem kUnreachable{"unreachable", 502, "The other side cannot be reached",
                                      "Look at the service that was called.", true};

/// Where a call goes.
struct Url {
  bool tls = false;
  std::string host;       ///< name or address, IPv6 without brackets
  std::string port;       ///< decimal
  std::string authority;  ///< as `Host` says it
  std::string target;     ///< path and query
};
/// `http://host[:port]/path?query`, or https. No user info, no fragment.
Result<Url> parse_url(std::string_view text);

/// One request. Spans are limits; what is over them is `deadline-exceeded`.
struct Call {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers{};  ///< `Host` and lengths are made here
  std::string body{};
  Nanoseconds connect = 2 * kSecond;
  Nanoseconds first_byte = 10 * kSecond;
  Nanoseconds total = 30 * kSecond;
  std::size_t limit = 16u << 20;  ///< bytes of the answer's body
  bool repeatable = false;        ///< may be sent again on a fresh connection when a kept one closed before it answered
};

struct ClientOptions {
  std::string authorities{};  ///< PEM file of those who sign servers' certificates; empty: the system's
  std::size_t idle = 8;       ///< connections kept for each origin
  Nanoseconds idle_for = 60 * kSecond;
};

/// Outgoing HTTP/1.1 calls of one loop. TLS verifies name and chain, always. Redirects are not followed: their answer
/// is given. Connections are kept and used again.
class Client {
 public:
  explicit Client(Loop& loop, ClientOptions options = {});
  ~Client();  ///< before its loop; no call may be under way
  Client(const Client&) = delete;

  /// Any answer is an answer, a 500 too. Errors: `bad-url`, `unreachable`, `bad-answer`, `answer-too-large`,
  /// `deadline-exceeded`.
  Task<Result<Answer>> call(const Call& call);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace plimsoll::client
