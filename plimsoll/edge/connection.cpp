#include "plimsoll/edge/connection.hpp"

namespace plimsoll::edge {

Connection::Connection(Worker& worker, std::unique_ptr<net::Transport> over, net::Accepted from)
    : worker(worker),
      transport(std::move(over)),
      address(std::move(from.address)),
      port(from.port),
      accepted(worker.loop.now()) {
  next_ = worker.first_;
  if (next_) next_->previous_ = this;
  worker.first_ = this;
  worker.shared.connections.fetch_add(1, std::memory_order_relaxed);
}

Connection::~Connection() {
  if (next_) next_->previous_ = previous_;
  (previous_ ? previous_->next_ : worker.first_) = next_;
  worker.shared.connections.fetch_sub(1, std::memory_order_relaxed);
}

Task<> Connection::run() {
  const std::unique_ptr<Connection> self{this};
  const auto opened = co_await transport->open(worker.shared.limits.first_byte.nanoseconds);
  if (!opened) co_return;
  protocol_ = http1(*this);
  if (worker.draining()) protocol_->drain();
  co_await protocol_->run();
}

void Connection::drain() {
  if (protocol_) protocol_->drain();
}

Exchange::Exchange(Arena& arena, Connection& connection)
    : request{.method = {}, .target = {}, .headers = Headers{arena}, .peer = connection.peer()},
      context(arena, connection.worker.loop, connection.worker.shared.service.services()) {
  context.scope = &scope;
  context.body_limit = connection.worker.shared.limits.body.bytes;
  context.started = context.now = connection.worker.loop.now();
  context.wall = connection.worker.loop.wall();
}

}  // namespace plimsoll::edge
