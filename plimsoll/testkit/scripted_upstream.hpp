#pragma once

#include "plimsoll/testkit/client.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::testkit {

/// How a scripted service fails.
enum class Fault : std::uint8_t {
  none,
  refuses,  ///< ends the connection with a reset before it answers
  cuts,     ///< ends it with a reset in the middle of the body
  garbage,  ///< sends what is no HTTP
  silent,   ///< never answers
};

/// What a scripted service does with one request.
struct Reaction {
  std::uint16_t status = 200;
  std::string body{};
  HeaderList headers{};  ///< beside `content-length`, and `content-type: application/json` where it is not named
  std::chrono::milliseconds after{0};  ///< before its first byte
  Fault fault = Fault::none;
};

/// What a scripted service was sent. Names of headers are in lower case.
struct SentRequest {
  std::string method, target;
  HeaderList headers;
  std::string body;

  /// The first header of that name, or empty.
  std::string_view header(std::string_view name) const;
};

/// A service that the program calls, which behaves as a test wants: it answers each request by a script, late, wrongly
/// or not at all. It listens on a free port of this machine until it ends; give it to `ServiceOptions::upstreams` by
/// the name that the deployment has for it.
///
///     ScriptedUpstream rates{[](const SentRequest&) -> Reaction { return {.status = 503}; }};
class ScriptedUpstream {
 public:
  /// Called on a thread of the upstream's own for each request, one at a time.
  using Script = std::function<Reaction(const SentRequest&)>;
  explicit ScriptedUpstream(Script script);
  /// The same reaction to all.
  explicit ScriptedUpstream(Reaction always);
  ~ScriptedUpstream();
  ScriptedUpstream(const ScriptedUpstream&) = delete;

  /// From the next request on.
  void becomes(Script script);
  void becomes(Reaction always);
  /// What it was sent so far, retries included.
  std::vector<SentRequest> requests() const;
  std::string url() const;  ///< http://127.0.0.1:PORT

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace plimsoll::testkit
