#pragma once

#include "plimsoll/client/connections.hpp"
#include "plimsoll/client/repeats.hpp"
#include "plimsoll/client/split.hpp"
#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/exchange/services.hpp"
#include "plimsoll/json/value.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace plimsoll::client {

class Targets;

inline constexpr Problem kAnswerTooLarge{"answer-too-large", 502, "The response of the called service is too large",
                                         "Request less data, or raise the limit."};

struct ServiceOptions {
  std::string name{};  ///< of metrics; empty: host and port
  std::string url{};   ///< where a request without a target goes; its path stands before the target of others
  /// Further URLs of the same service, which share its calls (`balance`); at most 255.
  std::vector<std::string> more_urls{};
  std::vector<double> weights{};  ///< of `url` and `more_urls`, in that order; where there is none it is 1
  /// Groups of targets among which the callers are split, and the group of each target; empty: no groups.
  std::vector<Group> groups{};
  std::vector<std::uint32_t> group_of{};
  std::string authorities{};  ///< PEM file of those who sign the server's certificate; empty: the system's
  /// What is shown to the server in TLS, PEM text or paths of files of it; empty: nothing, or a key that stands with
  /// the certificate.
  std::string certificate{}, key{};
  Timeouts timeouts{};  ///< where the key `timeout` says nothing
  IdleLimits idle{};
  HttpVersions http = HttpVersions::one;      ///< a WebSocket goes by HTTP/1.1 whatever it says
  std::shared_ptr<net::Resolver> resolver{};  ///< null: that of this process
  bool resilient = false;  ///< `retry`, `concurrency` and `breaker` are on unless the options say not
};

/// Another server, called as an operation is: `call` has the interface of a handler and goes through the policies of
/// client/chain.cpp. Any answer is an answer, a 500 too. Redirects are not followed. Safe from any thread.
class Service final : public Handler {
 public:
  /// `parts`: an object with the keys of client/chain.cpp (other keys are not looked at), or null. Errors: `bad-url`,
  /// `tls`, `configuration`.
  static Result<std::shared_ptr<Service>> make(ServiceOptions options, const Services& services,
                                               const json::Value* parts = nullptr);
  ~Service() override;

  /// Sends `request`: its method, target, fields and body; `host`, lengths and what belongs to one connection are made
  /// here. The body of the answer is a stream that lives in the context's arena. The call ends when the context's line
  /// of work is told to stop. Errors: `unreachable`, `bad-answer`, `deadline-exceeded`, and whatever the request's body
  /// fails with.
  PLIMSOLL_FORWARDS Task<Result<Response>> call(Request& request, Context& context);
  PLIMSOLL_FORWARDS Task<Result<Response>> handle(Request& request, Context& context) override {
    return call(request, context);
  }

  const Url& url() const noexcept;
  /// Of metrics and log.
  const std::string& name() const noexcept;
  /// Null where there is one URL and nothing is to be known of it: the service is not `resilient`.
  const std::shared_ptr<Targets>& targets() const noexcept;
  /// For calls that belong to no exchange.
  const Services& services() const noexcept;
  /// For the log: what the last call of an exchange waits for, where the exchange `asking` waits for that one no
  /// longer; empty: for no service.
  static std::string still_awaited(const Context& calling, const Context& asking);

 private:
  struct State;
  explicit Service(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A call that belongs to no exchange, or whose answer is to be held whole.
struct Call {
  std::string method = "GET";
  std::string target{};                                        ///< empty: that of the service's URL
  std::vector<std::pair<std::string, std::string>> headers{};  ///< names in lower case
  std::string body{};
  std::size_t limit = 16u << 20;  ///< bytes of the answer's body
  std::string authority{};        ///< the `Host` that is sent; empty: that of the target
  Repeats repeats = Repeats::by_method;
};
/// `Service::call`, the answer held whole. Error besides: `answer-too-large`.
Task<Result<Answer>> fetch(Service& service, Loop& loop, const Call& call);
/// The same of an exchange: it has its deadline, its trace, and ends with it.
Task<Result<Answer>> fetch(Service& service, Context& context, Call call);

/// The body of an answer, read to its end. Error: `answer-too-large`.
Task<Result<std::string>> whole_body(const Response& answer, std::size_t limit);

}  // namespace plimsoll::client
