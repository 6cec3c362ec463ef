#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/exchange/services.hpp"
#include "plimsoll/handler/upstream/declared_paths.hpp"
#include "plimsoll/handler/upstream/fields.hpp"
#include "plimsoll/handler/upstream/learned.hpp"
#include "plimsoll/handler/upstream/mirror.hpp"
#include "plimsoll/handler/upstream/websockets.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::client {
class Service;
}

namespace plimsoll {
class BodyMemory;
}

namespace plimsoll::handler::forwarding {

/// The path of the request that is sent on, made from the values of the operation's path parameters:
/// `/v2/reviews/{id}`. Empty: the path goes as it came.
class PathTemplate {
 public:
  /// Error: `configuration`, a sentence without a place: a name that is no path parameter of the operation.
  static Result<PathTemplate> make(std::string_view text, std::span<const std::string> parameters);
  bool empty() const { return parts_.empty(); }
  /// `values`: percent-encoded, as they came. Error: `not-found`, where a server might take the path for another one
  /// than the template has (contract/lookalikes.hpp).
  Result<std::string> path(std::span<const std::string_view> values) const;

 private:
  struct Part {
    std::string text;  ///< before the value
    int value = -1;    ///< index; -1: none follows
  };
  std::vector<Part> parts_;
  std::ptrdiff_t segments_ = 0;
};

/// How one operation is answered by a service.
struct Route {
  std::shared_ptr<client::Service> service;
  PathTemplate path{};
  std::shared_ptr<const DeclaredPaths> declared{};  ///< null: paths that came are not judged here
  std::string host{};                               ///< empty: the target's own; `client`: that of the request
  FieldRules request{}, response{};
  /// Answers of JSON and of text are held whole, because something looks at them on their way: up to 16 MiB.
  bool holds_text = true;
  /// What is held counts here; null: it is bounded for itself alone.
  std::shared_ptr<BodyMemory> bodies{};
  bool copies = false;  ///< a copy of what is held is kept as long as the exchange, and counts too
  Passing passing{};
  std::uint64_t held_anyhow = 1u << 20;            ///< whatever it is, up to that length
  std::shared_ptr<const Mirror> mirror{};          ///< null: requests are not copied
  std::shared_ptr<const WebSockets> websockets{};  ///< null: a request that asks for one is an ordinary GET
  std::shared_ptr<Learned> learned{};              ///< null: nothing is learned from what passes
  std::vector<std::string> bases{};                ///< of the contract: what is learned lies below one of them
};
std::unique_ptr<Handler> make_upstream(Route route);

}  // namespace plimsoll::handler::forwarding

namespace plimsoll::handler {

/// Passes requests on to the server at `url` (`http://host:port`, https, perhaps with a path that goes before the
/// request's) and its answers back. Method, path, query, fields and body go as they came, without what belongs to the
/// connection alone (RFC 9110, section 7.6.1); `Via`, `Forwarded`, `X-Forwarded-*`, `traceparent` and `X-Request-Id`
/// are ours. Bodies of requests that nobody has read yet pass through as they come, and so do those of answers, unless
/// they can be held against the contract (JSON, lines of JSON, text): these are held whole, up to 16 MiB. Refusals:
/// `unreachable`, `bad-answer`, `answer-too-large` (502), `deadline-exceeded` (504), `payload-too-large`. Error:
/// `bad-url`.
Result<std::unique_ptr<Handler>> upstream(std::string_view url, const Services& services);

}  // namespace plimsoll::handler
