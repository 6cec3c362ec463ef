#pragma once

#include "plimsoll/client/circuit_breaker.hpp"
#include "plimsoll/client/connection.hpp"
#include "plimsoll/client/repeats.hpp"
#include "plimsoll/exchange/sent_once.hpp"

#include <atomic>
#include <bitset>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll {
class Context;
}

namespace plimsoll::client {

struct Circuit;
class Service;

/// One of those under way, of which a counter knows: counted down once, at the end.
class Permit {
 public:
  using Counter = std::atomic<std::int64_t>;
  Permit() = default;
  /// It is counted already.
  explicit Permit(std::shared_ptr<Counter> counter) noexcept : counter_(std::move(counter)) {}
  Permit(Permit&&) = default;
  Permit& operator=(Permit&& other) noexcept {
    std::swap(counter_, other.counter_);
    return *this;
  }
  ~Permit() { end(); }
  void end() noexcept {
    if (const auto counter = std::exchange(counter_, nullptr)) counter->fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  std::shared_ptr<Counter> counter_;
};

/// A connection, or a stream of one, that speaks another protocol now, and what was read of it behind the answer that
/// said so.
struct Switched {
  std::unique_ptr<net::Channel> channel;
  std::string early{};
  Permit at_target{};  ///< among the calls of its target
};

/// The body of an answer that nobody will read, as `Wire` gave it out.
class Abandonable {
 public:
  /// Reads a little of it so that the connection can be used again, where it comes to its end.
  virtual Task<> drain(std::size_t most) = 0;
  /// Ends its connection, unless it was read to its end.
  virtual void abandon() noexcept = 0;
  /// The connection behind an answer 101, once; the call is over for all but its target.
  virtual Switched take_over() = 0;
  /// Fields of these names (in lower case) are not passed on behind the body. They outlive it.
  virtual void withhold(const std::vector<std::string>& names) noexcept = 0;

 protected:
  ~Abandonable() = default;
};

/// What the policies around one call and the wire below them know of it. One for each call, found by its request;
/// several calls of one exchange may be under way at once.
struct CallState final : InterimTaker {
  static constexpr std::size_t kMostTargets = 256;

  const Request* of = nullptr;
  CallState* before = nullptr;  ///< of another call of the same exchange
  bool begun = false;           ///< the call is under way, or was: another of a request at the same address is not it
  const Service* service = nullptr;  ///< that is called, once it has begun

  Timeouts timeouts{};
  Nanoseconds until = kNever;      ///< of the loop's clock, for the whole call
  Nanoseconds measured_since = 0;  ///< of the steady clock

  std::size_t target = 0;             ///< of the service's targets: which this attempt goes to
  std::bitset<kMostTargets> tried{};  ///< targets at which attempts of this call have failed

  Repeats repeats = Repeats::by_method;
  SentOnce* once = nullptr;  ///< of the exchange, where it may not send this request twice or asks whether it was sent

  std::optional<std::uint64_t> caller{};  ///< a hash of who calls, where targets are split among callers

  /// The call asks for a WebSocket with this Sec-WebSocket-Key; empty: it does not.
  std::string_view websocket_key{};
  std::optional<std::string_view> held{};  ///< the body, where it was short enough to be kept for another attempt
  bool spent = false;                      ///< the body is a stream that was begun: it cannot be sent again
  bool expects_continue = false;           ///< whoever sends the body waits until it is asked for
  bool signed_as_it_is = false;            ///< its method too: it is sent as no other (CONNECT for a WebSocket)
  bool numbered = false;                   ///< its attempts are numbered here: no outer layer repeats it

  const http::Trailing* trailing = nullptr;  ///< fields that follow the body, once it has ended; null: none
  std::string_view trailer{};                ///< what its sender said of them in `Trailer`
  InterimTaker* informed = nullptr;          ///< who wants interim answers of the attempt that is used; null: nobody

  // Of the current attempt.
  bool replaceable = false;               ///< another attempt may answer in its place: nothing of it is passed on yet
  std::vector<Answer> interim_answers{};  ///< not passed on yet
  std::size_t interim_bytes = 0;          ///< of all of them
  /// What `connected` and `SentOnce::reached` were before this attempt had a connection.
  struct Before {
    bool connected = false, reached = false;
  } before_reached{};
  bool connected = false;              ///< there was a connection: something may have reached the other side
  bool written = false;                ///< all of the request was, as far as it has ended
  const Attempt* under_way = nullptr;  ///< while its request is sent and its answer is awaited
  bool body_failed = false;            ///< the body that was to be sent could not be had
  bool credential_refused = false;     ///< the service answered 401 or 403 to our own credential
  enum class Awaits : std::uint8_t { nothing, token, connection, answer } awaits = Awaits::nothing;
  Nanoseconds awaits_since = 0;     ///< of the loop's clock
  std::string_view token_server{};  ///< where a token is awaited
  Abandonable* answer = nullptr;
  Circuit* circuit = nullptr;  ///< of the breaker, which has admitted it
  CircuitBreaker::Admission admission{};
  Permit in_flight{}, at_target{};  ///< until the answer's body has come, the call has failed or the exchange has ended

  /// There is a connection, and something may come to the other side from now on.
  void reached() noexcept {
    before_reached = {connected, once && once->reached};
    connected = true;
    if (!once) return;
    once->reached_before |= once->reached;
    once->reached = true;
  }
  /// The service has refused this attempt, and has done nothing.
  void nothing_done() noexcept {
    if (once) once->reached = before_reached.reached;
  }
  /// The other side has not looked at what was sent: all is as it was before.
  void unreached() noexcept {
    nothing_done();
    connected = before_reached.connected;
    written = false;
  }
  void begin_attempt() noexcept {
    connected = written = body_failed = credential_refused = false;
    answer = nullptr;
    interim_answers.clear();
    interim_bytes = 0;
    await(Awaits::nothing, 0);
  }
  void interim(Answer answer) override;
  /// This attempt is the one that is used.
  void use_interim();
  void await(Awaits what, Nanoseconds now) noexcept { awaits = what, awaits_since = now; }
  /// Whether all of the request was sent by now.
  bool is_written() const noexcept { return under_way ? under_way->written() : written; }
  void finished() noexcept {
    at_target.end();
    in_flight.end();
  }
};

/// Tells a call how far an attempt has come that has a connection, whether it ends well or is given up.
class Progress {
 public:
  Progress(CallState& state, const Attempt& attempt) noexcept : state_(state), attempt_(attempt) {
    state.reached();
    state.under_way = &attempt;
  }
  Progress(const Progress&) = delete;
  ~Progress() {
    state_.under_way = nullptr;
    state_.written = attempt_.written();
    state_.body_failed = attempt_.body_failed();
  }

 private:
  CallState& state_;
  const Attempt& attempt_;
};

/// That of the call of this request; made by the first who asks.
CallState& call_state(const Request& request, Context& context);
/// A call begins: what was prepared for it stays, what is left of an earlier one does not.
CallState& begin_call(const Request& request, Context& context);

}  // namespace plimsoll::client
