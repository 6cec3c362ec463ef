#include "plimsoll/edge/worker.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/edge/connection.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <new>
#include <string>
#include <utility>

namespace plimsoll::edge {

Worker::Worker(Shared& shared) : shared(shared) {}
Worker::~Worker() = default;

void Worker::listen(net::Listener listener, std::shared_ptr<net::TlsContext> tls, std::shared_ptr<const Trust> trust,
                    std::uint64_t number) {
  auto& accepting = *accepting_.emplace_back(
      std::make_unique<Accepting>(loop, std::move(listener), std::move(tls), std::move(trust), number));
  loop.spawn(accepting.scope, accept(accepting));
}

namespace {

/// Handshakes under way come to their end first: a listener that is closed resets them.
constexpr auto kHandshakes = 50 * kMillisecond;

}  // namespace

void Worker::close(std::uint64_t number) {
  for (auto& each : accepting_)
    if (each->number == number && !each->closing) close(*each);
}

void Worker::close(Accepting& one) {
  one.closing = true;
  if (one.divided) net::Listener::turn_away(one.descriptor->get());
  one.end_.of = one.cut_.of = &one;
  one.end_.ring = [](Alarm& alarm) { static_cast<Accepting::Limit&>(alarm).of->scope.stop(Stop::drain); };
  loop.wheel().arm(one.end_, loop.tick_in(kHandshakes));
  for (auto* connection = first_; connection; connection = connection->next_)
    if (&connection->listener_ == &one) connection->drain();
  one.cut_.worker = this;
  one.cut_.ring = [](Alarm& alarm) {
    const auto& cut = static_cast<Accepting::Limit&>(alarm);
    for (auto* connection = cut.worker->first_; connection; connection = connection->next_)
      if (&connection->listener_ == cut.of) connection->scope.stop(Stop::drain);
  };
  loop.wheel().arm(one.cut_, loop.tick_in(kHandshakes + shared.limits.drain.nanoseconds));
}

void Worker::forget_closed() noexcept {
  try {
    loop.post([this] {
      std::erase_if(accepting_,
                    [](auto& each) { return each->closing && !each->descriptor && each->connections == 0; });
    });
  } catch (const std::bad_alloc&) {  // with the next that is closed, or at the end of the process
  }
}

/// Accepts until told to stop, then what had come already. Where descriptors or memory run short it pauses, and what is
/// under way goes on.
Task<> Worker::accept(Accepting& from) {
  constexpr auto kShortage = 100 * kMillisecond;
  constexpr unsigned kInARow = 64;  // then the loop looks at its connections
  for (unsigned in_a_row = 0;;) {
    int error = 0;
    auto accepted = net::accept(from.descriptor->get(), error);
    if (!error) {
      greet(std::move(accepted), from);
      if (++in_a_row % kInARow == 0) co_await next_turn(loop);
      continue;
    }
    if (error == EINTR || error == ECONNABORTED || error == EPROTO) continue;
    if (error == EAGAIN || error == EWOULDBLOCK) {
      if (from.scope.stopped() != Stop::none) break;
      from.descriptor->read_all();
      (void)co_await from.descriptor->readable(0);
      continue;
    }
    const bool full = error == EMFILE || error == ENFILE, short_of_memory = error == ENOMEM || error == ENOBUFS;
    shared.rejections.add(full              ? Rejection::descriptors
                          : short_of_memory ? Rejection::memory
                                            : Rejection::system,
                          {}, loop.now());
    const bool rested = co_await pause(loop, kShortage);
    if (!rested) break;
  }
  from.descriptor.reset();
  if (from.closing) forget_closed();
}

void Worker::greet(net::Accepted accepted, Accepting& by) noexcept {
  const auto& limits = shared.limits;
  bool counted = false;
  std::string address;
  int socket = accepted.socket;
  try {
    address = accepted.address;
    // A proxy of ours brings the connections of many clients.
    const bool proxy = !by.trust->networks.empty() && by.trust->networks.contains(address);
    const auto of_address = proxy ? INT64_MAX : limits.connections_per_address;
    if (const auto rejection = shared.connection_counts.enter(address, limits.connections, of_address)) {
      ::close(socket);
      return shared.rejections.add(*rejection, address, loop.now());
    }
    counted = true;
    const int given = std::exchange(socket, -1);  // the transport closes it, made or not
    auto transport = by.tls ? by.tls->transport(loop, given) : net::clear_transport(loop, given);
    auto connection = std::make_unique<Connection>(*this, std::move(transport), std::move(accepted), by);
    counted = false;  // the connection counts itself out
    loop.spawn(connection->scope, connection->run());
    (void)connection.release();  // which deletes itself
  } catch (...) {
    if (socket >= 0) ::close(socket);
    if (counted) shared.connection_counts.leave(address);
    shared.rejections.add(Rejection::memory, address, loop.now());
  }
}

void Worker::run() { loop.run(); }

void Worker::drain() {
  if (draining_) return;
  draining_ = true;
  for (auto& accepting : accepting_)
    if (accepting->descriptor && accepting->divided) net::Listener::turn_away(accepting->descriptor->get());
  close_listeners_.worker = this;
  close_listeners_.ring = [](Alarm& alarm) {
    for (auto& accepting : static_cast<Limit&>(alarm).worker->accepting_) accepting->scope.stop(Stop::drain);
  };
  loop.wheel().arm(close_listeners_, loop.tick_in(kHandshakes));
  for (auto* connection = first_; connection; connection = connection->next_) connection->drain();
  drain_limit_.worker = this;
  drain_limit_.ring = [](Alarm& alarm) { static_cast<Limit&>(alarm).worker->cut(); };
  loop.wheel().arm(drain_limit_, loop.tick_in(shared.limits.drain.nanoseconds));
}

void Worker::cut() {
  for (auto* connection = first_; connection; connection = connection->next_) connection->scope.stop(Stop::drain);
}

void Worker::warn_of_claim(std::string_view address, std::string_view what) {
  auto* log = shared.log;
  if (!log || (warned_ && loop.now() - warned_ < 60 * kSecond)) return;
  warned_ = loop.now();
  log->write(telemetry::Level::warning, "untrusted-proxy", [&](telemetry::Line& line) {
    line.add("address", address)
        .add("claims", what)
        .add("remedy", "name it under trusted-proxies, if it is a proxy of yours");
  });
}

std::string_view Worker::date() {
  const auto second = loop.wall() / kSecond;
  if (second != second_) {
    second_ = second;
    date_ = http::format_date(second);
  }
  return http::as_text(date_);
}

}  // namespace plimsoll::edge
