#pragma once

#include "plimsoll/client/part.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/telemetry/sparse.hpp"

#include <memory>
#include <string>

namespace plimsoll::config {
/// Whose credential a service means that answers 401 or 403.
enum class Refusals : std::uint8_t { ours, pass };
template <>
struct Words<Refusals> {
  static constexpr std::string_view words[] = {"ours", "pass"};
};
}  // namespace plimsoll::config

namespace plimsoll::telemetry {
class Counter;
class Log;
}  // namespace plimsoll::telemetry

namespace plimsoll::client {

/// Notices answers by which a service refuses the credential of the call: 401 and 403. They are counted, told as an
/// event at most once in 10 s for each service, and noted in the state of the call, so that nobody takes them for what
/// the service thinks of the caller.
class Refusals {
 public:
  static constexpr Metric kMetric{"plimsoll_client_credential_refused_total", "1",
                                  "Answers 401 and 403 of a service to calls that carry this server's credential."};
  Refusals(const Build& build, config::Refusals whose);
  void look(const Result<Response>& answer, CallState& state, const Context& context);

 private:
  struct Events {
    telemetry::Sparse answers{10 * kSecond};
  };
  const std::string service_;
  const std::span<const Peer> peers_;
  const config::Refusals whose_;
  const std::shared_ptr<Events> events_;
  telemetry::Counter* counter_ = nullptr;
  telemetry::Log* const log_;
};

}  // namespace plimsoll::client
