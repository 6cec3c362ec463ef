#include "plimsoll/edge/connection.hpp"

#include "plimsoll/http/h2.hpp"
#include "plimsoll/http/proxy_protocol.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <charconv>

namespace plimsoll::edge {

namespace {

/// Names are lower case.
bool speaks_for_others(std::string_view name) {
  constexpr std::string_view kPrefix = "x-forwarded-";
  return name.size() == 9 ? name == "forwarded" : name.size() > kPrefix.size() && name.starts_with(kPrefix);
}

}  // namespace

static constexpr Problem kUntrusted{"untrusted-peer", 400, "The peer is not a trusted proxy", ""};

Connection::Connection(Worker& worker, std::unique_ptr<net::Transport> over, net::Accepted from,
                       Worker::Accepting& listener)
    : worker(worker),
      transport(std::move(over)),
      address(std::move(from.address)),
      port(from.port),
      accepted(worker.loop.now()),
      from_(address),
      listener_(listener),
      trust_(*listener.trust),
      draining_(worker.draining() || listener.closing) {
  ++listener_.connections;
  next_ = worker.first_;
  if (next_) next_->previous_ = this;
  worker.first_ = this;
}

Connection::~Connection() {
  if (next_) next_->previous_ = previous_;
  (previous_ ? previous_->next_ : worker.first_) = next_;
  worker.shared.connection_counts.leave(from_);
  if (--listener_.connections == 0 && listener_.closing) worker.forget_closed();
}

Task<> Connection::run() {
  const std::unique_ptr<Connection> self{this};
  try {
    co_await serve();
  } catch (...) {  // no memory, most likely: this connection ends, the others go on
    worker.shared.rejections.add(Rejection::memory, address, worker.loop.now());
    transport->abort();
  }
}

Task<> Connection::serve() {
  if (trust_.protocol) {
    const auto introduced = co_await introduction();
    if (!introduced) co_return;
  }
  site_ = site_key(address);
  trusted_ = trust_.networks.contains(address);
  const auto opened = co_await transport->open(worker.shared.limits.first_byte.nanoseconds);
  if (!opened) co_return;
  const auto language = co_await spoken();
  grace_.disarm();
  if (language == Spoken::nothing) co_return;
  protocol_ = language == Spoken::http2 ? http2(*this) : http1(*this);
  if (draining_) protocol_->drain();
  co_await protocol_->run();
}

/// The PROXY header that stands before everything else, TLS included. It is looked at before it is taken, because what
/// follows is not ours to read.
Task<Result<>> Connection::introduction() {
  if (!trust_.networks.contains(from_)) {
    worker.warn_of_claim(from_, "a connection with a PROXY header");
    co_return fail(kUntrusted);
  }
  auto& descriptor = transport->descriptor();
  const auto until = worker.loop.now() + worker.shared.limits.first_byte.nanoseconds;
  // Not in the frame, which is part of that of every connection as long as it is open.
  const auto bytes = std::make_unique_for_overwrite<char[]>(kProxyHeaderLimit);
  std::size_t before = 0;
  for (;;) {
    const auto n = ::recv(descriptor.get(), bytes.get(), kProxyHeaderLimit, MSG_PEEK);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) co_return fail(kUntrusted);
    if (n > 0) {
      const auto size = static_cast<std::size_t>(n);
      const auto header = read_proxy_header({bytes.get(), size});
      if (header.state == ProxyHeader::State::refused) {
        worker.warn_of_claim(from_, header.problem);
        co_return fail(kUntrusted);
      }
      if (header.state == ProxyHeader::State::complete) {
        if (::recv(descriptor.get(), bytes.get(), header.size, 0) != static_cast<ssize_t>(header.size))
          co_return fail(kUntrusted);
        if (header.known) {
          address = header.address;
          port = header.port;
        }
        co_return Result<>{};
      }
      if (descriptor.hung_up() && size == before) co_return fail(kUntrusted);
      before = size;
    }
    descriptor.read_all();
    const auto left = until - worker.loop.now();
    const auto woken = left > 0 ? co_await descriptor.readable(left) : Wake::late;
    if (woken != Wake::ready) co_return fail(kUntrusted);
  }
}

void Connection::identify(Request& request) {
  auto& peer = request.peer;
  if (trusted_) {
    const auto client = client_behind(peer.address, request.headers, trust_.networks, trust_.forwarded);
    if (client.address.data() != peer.address.data()) peer.port = 0, peer.site = 0;
    peer.address = client.address;
    if (!client.scheme.empty()) request.scheme = client.scheme;
  } else {
    for (const auto& field : request.headers)
      if (speaks_for_others(field.name)) return worker.warn_of_claim(peer.address, "a forwarding header");
  }
}

/// Agreed by ALPN; in clear the first bytes tell (RFC 9113, section 3.3). What is read for that stays in the inbox.
Task<Connection::Spoken> Connection::spoken() {
  if (transport->secure()) co_return transport->protocol() == "h2" ? Spoken::http2 : Spoken::http1;
  const auto& limits = worker.shared.limits;
  const auto until = worker.loop.now() + limits.first_byte.nanoseconds;
  for (;;) {
    if (!inbox) inbox = worker.take_inbox();
    const auto moved = transport->read(inbox->room());
    inbox->filled(moved.bytes);
    if (moved.bytes) {
      if (!began) began = worker.loop.now();
      const auto preface = http::h2_preface(inbox->unread());
      if (preface == http::H2Preface::not_yet) continue;
      co_return preface == http::H2Preface::yes ? Spoken::http2 : Spoken::http1;
    }
    const bool begun = !inbox->empty();
    if (!begun) worker.give_inbox(std::move(inbox));
    if (moved.ended || moved.failed()) co_return begun ? Spoken::http1 : Spoken::nothing;
    const auto left = (begun ? began + limits.head_time.nanoseconds : until) - worker.loop.now();
    const auto woken = left > 0 ? co_await transport->wait(moved.want, left) : Wake::late;
    // What began like the preface and goes no further is HTTP/1's to refuse.
    if (woken != Wake::ready) co_return begun ? Spoken::http1 : Spoken::nothing;
  }
}

void Connection::drain() {
  draining_ = true;
  if (protocol_) return protocol_->drain();
  // A client that has just come may have a request on its way.
  grace_.scope = &scope;
  grace_.ring = [](Alarm& alarm) { static_cast<Grace&>(alarm).scope->stop(Stop::drain); };
  worker.loop.wheel().arm(grace_, worker.loop.tick_in(kSecond));
}

std::optional<std::uint64_t> declared_length(const Response& response) {
  const auto text = response.headers.find("content-length");
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

void Exchange::begin(Connection& connection) {
  context.scope = &scope;
  context.path = request.path;
  context.body_limit = connection.worker.shared.limits.body.bytes;
  context.started = context.now = connection.worker.loop.now();
  context.wall = connection.worker.loop.wall();
}

Task<> Exchange::make_room(BodyMemory& memory, Response& response) {
  auto held = co_await hold_unread(context, memory, request, std::move(std::get<Buffer>(response.body)));
  if (held)
    response.body = std::move(*held);
  else
    response = service.refused(held.error(), request, context);
  context.outcome.status = response.status;
}

}  // namespace plimsoll::edge
