#include "plimsoll/client/gate.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/exchange/context.hpp"

namespace plimsoll::client {
namespace {

/// How long a call may take, as a whole and in its parts. The deadline of the exchange that calls holds besides.
class Timeout final : public Gate {
 public:
  struct Options {
    config::Duration total{Timeouts{}.total}, connect{Timeouts{}.connect}, first_byte{Timeouts{}.first_byte},
        idle{Timeouts{}.idle};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::total>("total",
                                     "From the call to the last byte of the response, including retries; where an "
                                     "operation passes the response on, to its head. 0s: no limit."),
      config::field<&Options::connect>("connect", "Name lookup, connection and TLS handshake together."),
      config::field<&Options::first_byte>("first-byte",
                                          "From the last byte of the request to the head of the response."),
      config::field<&Options::idle>("idle", "Between bytes of a body, in both directions."),
  };
  static constexpr std::string_view short_form = config::Form<config::Duration>::schema;

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    auto timeouts = build.timeouts;
    if (from) {
      Options options{{timeouts.total}, {timeouts.connect}, {timeouts.first_byte}, {timeouts.idle}};
      if (from->is(json::Type::object)) {
        if (auto done = config::read(*from, fields, &options); !done) return std::unexpected(std::move(done).error());
      } else {
        auto all = config::Form<config::Duration>::read(*from);
        if (!all) return std::unexpected(std::move(all).error());
        options.total = options.first_byte = options.idle = *all;
        if (auto within = config::check_bounds(*from, fields, &options); !within)
          return std::unexpected(std::move(within).error());
      }
      timeouts.connect = options.connect.nanoseconds;
      timeouts.first_byte = options.first_byte.nanoseconds;
      timeouts.idle = options.idle.nanoseconds;
      timeouts.total = options.total.nanoseconds;
    }
    if (timeouts.connect <= 0 || timeouts.first_byte <= 0 || timeouts.idle <= 0)
      return fail(config::kConfiguration, "a timeout of a call is more than nothing; only `total` can be 0s");
    return std::make_unique<Timeout>(timeouts);
  }
  explicit Timeout(const Timeouts& timeouts) : timeouts_(timeouts) {}

  Result<> begin(Request&, Context& context, CallState& state) override {
    state.timeouts = timeouts_;
    if (timeouts_.total > 0) state.until = context.loop.now() + timeouts_.total;
    return {};
  }
  void end(const CallOutcome&, CallState&) override {}
  Nanoseconds span() const noexcept override { return timeouts_.total; }

 private:
  const Timeouts timeouts_;
};

}  // namespace

extern constinit const Part timeout =
    part<Timeout>("timeout", "How long a call may take, as a whole and in its parts.");

}  // namespace plimsoll::client
