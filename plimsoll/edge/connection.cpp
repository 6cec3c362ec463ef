#include "plimsoll/edge/connection.hpp"

#include "plimsoll/http/h2.hpp"

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
}

Connection::~Connection() {
  if (next_) next_->previous_ = previous_;
  (previous_ ? previous_->next_ : worker.first_) = next_;
  worker.shared.census.leave(address);
}

Task<> Connection::run() {
  const std::unique_ptr<Connection> self{this};
  const auto opened = co_await transport->open(worker.shared.limits.first_byte.nanoseconds);
  if (!opened) co_return;
  const auto language = co_await spoken();
  grace_.disarm();
  if (language == Spoken::nothing) co_return;
  protocol_ = language == Spoken::http2 ? http2(*this) : http1(*this);
  if (worker.draining()) protocol_->drain();
  co_await protocol_->run();
}

/// Agreed by ALPN; in clear the first bytes tell (RFC 9113, section 3.3). What is read for that stays in the inbox.
Task<Connection::Spoken> Connection::spoken() {
  if (transport->secure()) co_return transport->protocol() == "h2" ? Spoken::http2 : Spoken::http1;
  const auto& limits = worker.shared.limits;
  for (;;) {
    if (!inbox)
      inbox = worker.inboxes.take(
          h1::HeadLimits{limits.head.bytes, limits.target.bytes, static_cast<std::size_t>(limits.header_count)});
    const auto moved = transport->read(inbox->room());
    inbox->filled(moved.bytes);
    if (moved.bytes) {
      const auto preface = http::h2_preface(inbox->unread());
      if (preface == http::H2Preface::not_yet) continue;
      co_return preface == http::H2Preface::yes ? Spoken::http2 : Spoken::http1;
    }
    const bool begun = !inbox->empty();
    if (!begun) worker.inboxes.give(std::move(inbox));
    if (moved.ended || moved.failed()) co_return begun ? Spoken::http1 : Spoken::nothing;
    const auto woken = co_await transport->wait(moved.want, limits.first_byte.nanoseconds);
    // What began like the preface and goes no further is HTTP/1's to refuse.
    if (woken != Wake::ready) co_return begun ? Spoken::http1 : Spoken::nothing;
  }
}

void Connection::drain() {
  if (protocol_) return protocol_->drain();
  // A client that has just come may have a request on its way.
  grace_.scope = &scope;
  grace_.ring = [](Alarm& alarm) { static_cast<Grace&>(alarm).scope->stop(Stop::drain); };
  worker.loop.wheel().arm(grace_, worker.loop.tick_in(kSecond));
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
