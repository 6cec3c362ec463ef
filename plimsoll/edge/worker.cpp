#include "plimsoll/edge/worker.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/edge/connection.hpp"

#include <unistd.h>

#include <cerrno>

namespace plimsoll::edge {

struct Worker::Accepting {
  Accepting(Loop& loop, net::Listener from, std::shared_ptr<net::TlsContext> with)
      : address(from.address()), descriptor(std::make_unique<Descriptor>(loop, from.release())), tls(std::move(with)) {}
  std::string address;
  std::unique_ptr<Descriptor> descriptor;
  std::shared_ptr<net::TlsContext> tls;
  Scope scope;
};

Worker::Worker(Shared& shared) : shared(shared) {}
Worker::~Worker() = default;

void Worker::listen(net::Listener listener, std::shared_ptr<net::TlsContext> tls) {
  auto& accepting = *accepting_.emplace_back(std::make_unique<Accepting>(loop, std::move(listener), std::move(tls)));
  loop.spawn(accepting.scope, accept(accepting));
}

/// Accepts until told to stop, then what had come already. Where descriptors or memory run short it pauses, and what is
/// under way goes on.
Task<> Worker::accept(Accepting& from) {
  constexpr auto kShortage = 100 * kMillisecond;
  for (;;) {
    int error = 0;
    auto accepted = net::accept(from.descriptor->get(), error);
    if (!error) {
      greet(std::move(accepted), from.tls.get());
      continue;
    }
    if (error == EINTR || error == ECONNABORTED || error == EPROTO) continue;
    if (error == EAGAIN || error == EWOULDBLOCK) {
      if (from.scope.stopped() != Stop::none) break;
      from.descriptor->read_all();
      (void)co_await from.descriptor->readable(0);
      continue;
    }
    const bool rested = co_await pause(loop, kShortage);
    if (!rested) break;
  }
  from.descriptor.reset();
}

void Worker::greet(net::Accepted accepted, net::TlsContext* tls) {
  const auto& limits = shared.limits;
  if (!shared.census.enter(accepted.address, limits.connections, limits.connections_per_address)) {
    ::close(accepted.socket);
    return;
  }
  auto transport = tls ? tls->transport(loop, accepted.socket) : net::clear_transport(loop, accepted.socket);
  auto* connection = new Connection(*this, std::move(transport), std::move(accepted));
  loop.spawn(connection->scope, connection->run());  // which deletes it
}

void Worker::run() { loop.run(); }

void Worker::drain() {
  if (draining_) return;
  draining_ = true;
  for (auto& accepting : accepting_) accepting->scope.stop(Stop::drain);
  for (auto* connection = first_; connection; connection = connection->next_) connection->drain();
  drain_limit_.worker = this;
  drain_limit_.ring = [](Alarm& alarm) {
    auto& worker = *static_cast<Limit&>(alarm).worker;
    for (auto* connection = worker.first_; connection; connection = connection->next_)
      connection->scope.stop(Stop::drain);
  };
  loop.wheel().arm(drain_limit_, loop.tick_in(shared.limits.drain.nanoseconds));
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
