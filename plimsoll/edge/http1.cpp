#include "plimsoll/base/copy.hpp"
#include "plimsoll/edge/connection.hpp"
#include "plimsoll/edge/pace.hpp"
#include "plimsoll/edge/problems.hpp"
#include "plimsoll/edge/response_pace.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/exchange/request_trailers.hpp"
#include "plimsoll/exchange/upgrade.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/target.hpp"
#include "plimsoll/http/trailing.hpp"

#include <array>
#include <charconv>

namespace plimsoll::edge {
namespace {

using net::Moved;
using net::Want;

/// Bodies up to this size travel in the same buffer as their head; larger ones are not copied.
constexpr std::size_t kCopied = 16 * 1024;
/// What is read and thrown away so that a connection can go on, or its last answer be read (RFC 9112, section 9.6).
constexpr std::uint64_t kDiscarded = 256 * 1024;
constexpr auto kLinger = 2 * kSecond;
constexpr std::uint64_t kLingered = 8 << 20;  // more than the system has of a client that sent until it saw the answer
/// How long an idle connection may still send a request when the server goes down.
constexpr auto kGrace = kSecond;

/// HTTP/1 on one connection: reads heads, has them served one after the other, writes the answers.
class Http1 final : public Protocol, public HangUp, public Stream, public InterimResponses {
 public:
  explicit Http1(Connection& connection)
      : connection_(connection), worker_(connection.worker), limits_(connection.worker.shared.limits) {}

  Task<> run() override;
  void drain() override;
  void hung_up() noexcept override {
    // While the body is read its end will be seen behind it: what came before the end still counts.
    if (waiting_ && !reading_) exchange_->scope.stop(Stop::client_gone);
  }
  /// The body of the request, for whoever serves it.
  Task<Result<Bytes>> read() override;
  void inform(std::uint16_t status, std::span<const Header> fields) override;

 private:
  enum class Next : std::uint8_t { request, refused, over };
  struct Serving;
  struct Closing;

  Task<Next> next_head();
  Nanoseconds patience() const;
  Task<bool> exchange();
  void fill(Request& request, Arena& arena);
  /// Not inlined, or the compiler makes their frames a part of that of `run`, which each idle connection has.
  [[gnu::noinline]] Task<> refuse(Error error);
  [[gnu::noinline]] Task<> linger();
  Task<Result<>> more_body();
  void look_again();
  Task<bool> discard_body();

  h1::Framed framing(const Exchange& exchange, const Response& response, bool last) const;
  bool last_answer() const;
  Task<bool> answer(Exchange& exchange, Response& response);
  Task<bool> answer_failed(Exchange& exchange, const Error& error);
  Task<> change_protocol(Exchange& exchange, const Response& response, const Upgrading& upgrading);
  Task<bool> send(std::span<iovec> pieces, ResponsePace& pace);
  Task<bool> send_file(const File& file, ResponsePace& pace, Outcome& outcome);
  Task<bool> send_stream(Stream& stream, const h1::Framed& framed, h1::Outbox& out, ResponsePace& pace,
                         Outcome& outcome);
  void put_end(h1::Outbox& out, const Stream& stream) const;
  Task<bool> wait(Want want, ResponsePace& pace);

  net::Transport& transport() { return *connection_.transport; }
  Inbox& inbox() { return *connection_.inbox; }

  Connection& connection_;
  Worker& worker_;
  const Limits& limits_;
  Exchange* exchange_ = nullptr;  ///< under way
  Upgrade* upgrade_ = nullptr;    ///< what its connection has become
  bool reading_ = false;          ///< it waits for the body
  bool waiting_ = false;          ///< the service waits: the client may leave meanwhile
  Nanoseconds head_began_ = 0;
  bool client_ended_ = false;    ///< it sends no more
  bool broken_ = false;          ///< nothing can be written
  bool continue_due_ = false;    ///< the client waits for 100 before it sends the body
  bool asking_ = false;          ///< which is being written
  std::string unsent_;           ///< of interim responses, what the socket did not take
  std::uint64_t body_read_ = 0;  ///< bytes of this body
  Pace body_pace_{0, kBodyWindow};
  struct Grace : Alarm {
    Scope* scope = nullptr;
  } grace_;
  struct Look : Alarm {
    Http1* http = nullptr;
  } look_;
};

/// Serves within the exchange's scope, and learns whether the service really waits: only then can a client leave.
struct Http1::Serving {
  Http1& http;
  Exchange& exchange;
  Task<Response> task;
  Scope* outer = nullptr;

  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    outer = parent.promise().scope;
    if (outer->stopped() != Stop::none) exchange.scope.stop(outer->stopped());
    outer->wait_at(exchange.scope);
    if (!Task<Response>::start(task.handle(), parent, &exchange.scope)) return false;
    http.waiting_ = true;
    if (http.transport().descriptor().hung_up()) http.hung_up();
    return true;
  }
  Response await_resume() {
    http.waiting_ = false;
    outer->go_on();
    return task.handle().promise().take();
  }
};

/// Whatever way a request ends, its memory goes back.
struct Http1::Closing {
  Http1& http;
  std::unique_ptr<Arena> arena;
  Exchange* exchange;
  ~Closing() {
    http.exchange_ = nullptr;
    http.look_.disarm();
    exchange->service.finished(exchange->request, exchange->context);
    arena->release();
    http.worker_.arenas.give(std::move(arena));
  }
};

Task<> Http1::run() {
  transport().descriptor().watch(this);
  for (;;) {
    const auto next = co_await next_head();
    if (next == Next::over) break;
    if (next == Next::refused) {
      co_await refuse(inbox().head.error());
      break;
    }
    const bool go_on = co_await exchange();
    if (!go_on) break;
    if (connection_.draining()) drain();
  }
  co_await linger();
  transport().descriptor().watch(nullptr);
}

void Http1::drain() {
  // Idle: it may have a request on its way, which a close would make it lose.
  grace_.scope = &connection_.scope;
  grace_.ring = [](Alarm& alarm) { static_cast<Grace&>(alarm).scope->stop(Stop::drain); };
  if (!exchange_) worker_.loop.wheel().arm(grace_, worker_.loop.tick_in(kGrace));
  if (upgrade_) upgrade_->drain();
}

/// How long the next bytes of a head may take to come.
Nanoseconds Http1::patience() const {
  const auto now = worker_.loop.now();
  if (head_began_) return head_began_ + limits_.head_time.nanoseconds - now;
  // A connection whose lifetime is over ends with its next answer, which says so: an end between two requests would
  // meet one that is on its way.
  return (connection_.requests ? limits_.idle : limits_.first_byte).nanoseconds;
}

Task<Http1::Next> Http1::next_head() {
  head_began_ = std::exchange(connection_.began, 0);
  for (;;) {
    if (connection_.inbox && !inbox().empty()) {
      using State = h1::Head::State;
      const auto state = inbox().head.read(inbox().unread());
      if (state == State::complete) co_return Next::request;
      if (state == State::refused) co_return Next::refused;
      if (!head_began_) head_began_ = worker_.loop.now();
    }
    if (!connection_.inbox) connection_.inbox = worker_.take_inbox();
    const auto moved = transport().read(inbox().room());
    inbox().filled(moved.bytes);
    if (moved.bytes) continue;
    if (moved.failed()) broken_ = true;
    if (moved.ended) client_ended_ = true;
    if (moved.ended && inbox().head.begun()) {
      co_await refuse({&h1::kMalformed, "The connection ended within a request."});
      co_return Next::over;
    }
    if (moved.ended || moved.failed()) co_return Next::over;
    if (inbox().empty()) {  // an idle connection holds no buffer
      worker_.give_inbox(std::move(connection_.inbox));
    }
    const auto span = patience();
    const auto woken = span > 0 ? co_await transport().wait(moved.want, span) : Wake::late;
    if (woken == Wake::ready) continue;
    if (woken == Wake::late && connection_.inbox && inbox().head.begun()) {
      co_await refuse({&kHeadTooSlow});
      co_return Next::over;
    }
    if (woken == Wake::stopped || !head_began_) broken_ = true;  // idle: nobody waits for an answer
    co_return Next::over;
  }
}

/// The request of a complete head. The head is copied once, because the buffer must be free for the body; names become
/// lower case in the copy.
void Http1::fill(Request& request, Arena& arena) {
  auto& head = inbox().head;
  const auto buffer = inbox().unread();
  const auto begin = head.begin;
  auto* copy = static_cast<char*>(arena.take(head.size - begin));
  std::memcpy(copy, buffer.data() + begin, head.size - begin);
  const auto view = [&](h1::Slice slice) { return std::string_view{copy + (slice.at - begin), slice.size}; };

  request.method = view(head.method);
  request.target = view(head.target);
  request.version = head.version;
  for (const auto& field : head.fields) {
    auto* name = copy + (field.name.at - begin);
    lower_in_place(name, field.name.size);
    request.headers.add(lasting({name, field.name.size}), lasting(view(field.value)));
  }
  if (!head.absolute) {
    request.path = view(head.path);
    request.has_query = head.has_query;
    if (head.has_query) request.query = view(head.query);
  } else if (const auto target = split_target(request.target)) {
    request.path = target->path;
    request.query = target->query;
    request.has_query = target->has_query;
  }
  if (head.authority.size) request.authority = view(head.authority);
  if (request.peer.tls) request.scheme = "https";
  connection_.identify(request);

  if (head.framing == h1::Framing::length) request.content_length = head.content_length;
  inbox().body.begin(head.framing, head.content_length);
  body_read_ = 0;
  body_pace_ = Pace{limits_.body_rate.bytes, kBodyWindow};
  continue_due_ = head.expects_continue && !inbox().body.complete();
  if (!inbox().body.complete()) request.body = this;
  inbox().used(head.size);
  // A body that has begun to come needs no invitation.
  if (!inbox().empty()) continue_due_ = false;
}

Task<bool> Http1::exchange() {
  ++connection_.requests;
  grace_.disarm();
  auto arena = worker_.arenas.take();
  auto& exchange = arena->make<Exchange>(*arena, connection_, [&](Request& request) { fill(request, *arena); });
  const Closing closing{*this, std::move(arena), &exchange};
  exchange_ = &exchange;
  exchange.context.interim = this;

  auto& service = exchange.service;
  std::optional<Response> response;
  try {
    const auto importance = service.route(exchange.request, exchange.context);
    co_await worker_.ready.turn(exchange.context, exchange.request.peer, importance);
    response.emplace(co_await Serving{*this, exchange, service.serve(exchange.request, exchange.context)});
  } catch (...) {  // the service renders its errors; what comes here is its own
    response.emplace(service.refused(error_from_current_exception(), exchange.request, exchange.context));
  }
  exchange.context.answered();
  exchange.context.interim = nullptr;
  auto& outcome = exchange.context.outcome;
  outcome.status = response->status;
  outcome.received = body_read_;
  if (exchange.scope.stopped() == Stop::client_gone) {
    outcome.left();
    broken_ = true;
    co_return false;
  }
  if (response->status == 101) [[unlikely]]
    if (const auto* upgrading = exchange.context.noted<Upgrading>()) {
      co_await change_protocol(exchange, *response, *upgrading);
      co_return false;
    }
  if (exchange.waits(*response)) co_await exchange.make_room(*worker_.shared.bodies, *response);
  const bool last = last_answer();
  const bool sent = co_await answer(exchange, *response);
  if (!sent) {
    outcome.client_gone = !outcome.cut;
    broken_ = true;
    co_return false;
  }
  if (last) co_return false;
  if (!inbox().body.complete()) {
    const bool clean = co_await discard_body();
    if (!clean) co_return false;
  }
  inbox().head.reset();
  co_return true;
}

/// Whether the connection ends with this answer. Decided before its head is written, which says so.
bool Http1::last_answer() const {
  const auto& inbox = *connection_.inbox;
  if (!inbox.head.keep_alive || connection_.draining() || client_ended_) return true;
  if (connection_.requests >= static_cast<std::uint64_t>(limits_.requests_per_connection)) return true;
  if (worker_.loop.now() - connection_.accepted > limits_.lifetime.nanoseconds) return true;
  // A body nobody read: whether it will come is not known while the client waits for 100, and what is long is not
  // worth reading.
  if (inbox.body.complete()) return false;
  return continue_due_ || inbox.body.framing() == h1::Framing::chunked || inbox.body.left() > kDiscarded;
}

h1::Framed Http1::framing(const Exchange& exchange, const Response& response, bool last) const {
  using Length = h1::Framed::Length;
  h1::Framed framed{.keep_alive = !last, .version = exchange.request.version, .date = worker_.date()};
  const auto status = response.status;
  if (status < 200 || status == 204 || status == 304) {
    framed.length = Length::none;
    return framed;
  }
  // A server that demands another version of the protocol says which it speaks (RFC 9110, section 15.5.22).
  if (status == 426 && response.headers.contains("sec-websocket-version")) framed.upgrade = "websocket";
  if (const auto* text = std::get_if<std::string_view>(&response.body)) {
    framed.size = text->size();
  } else if (const auto* buffer = std::get_if<Buffer>(&response.body)) {
    framed.size = buffer->bytes.size();
  } else if (const auto* file = std::get_if<File>(&response.body)) {
    framed.size = file->length;
  } else if (std::holds_alternative<Stream*>(response.body)) {
    if (const auto declared = declared_length(response)) {
      framed.size = *declared;
    } else if (exchange.request.version == 10) {
      framed.length = Length::until_close;
      framed.keep_alive = false;
    } else {
      framed.length = Length::chunked;
    }
  } else if (exchange.request.method == "HEAD") {
    if (const auto declared = declared_length(response)) framed.size = *declared;
  }
  return framed;
}

/// Writes the answer; false when the client did not take it all.
Task<bool> Http1::answer(Exchange& exchange, Response& response) {
  auto& outcome = exchange.context.outcome;
  const auto framed = framing(exchange, response, last_answer());
  struct Out {
    Worker& worker;
    std::unique_ptr<h1::Outbox> box;
    ~Out() {
      box->clear();
      worker.outboxes.give(std::move(box));
    }
  } out{worker_, worker_.outboxes.take()};
  out.box->append(std::exchange(unsent_, {}));
  h1::write_head(*out.box, response, framed);

  ResponsePace pace{transport(), limits_.response_rate.bytes};
  std::string_view body;
  if (const auto* text = std::get_if<std::string_view>(&response.body)) body = *text;
  if (const auto* buffer = std::get_if<Buffer>(&response.body)) body = as_text(buffer->bytes);
  const bool bodiless = framed.length == h1::Framed::Length::none || exchange.request.method == "HEAD";
  if (!bodiless) {
    if (auto* stream = std::get_if<Stream*>(&response.body))
      co_return co_await send_stream(**stream, framed, *out.box, pace, outcome);
    if (body.size() <= kCopied) {
      out.box->append(body);
      outcome.sent = body.size();
      body = {};
    }
  } else {
    body = {};
  }
  const auto head = out.box->text();
  std::array<iovec, 2> pieces{
      {{const_cast<char*>(head.data()), head.size()}, {const_cast<char*>(body.data()), body.size()}}};
  const std::span<iovec> all{pieces.data(), body.empty() ? 1u : 2u};
  const auto moved = broken_ ? Moved{.error = EPIPE} : transport().write(all);
  if (moved.failed()) {  // not a byte of it has gone
    outcome.left();
    co_return false;
  }
  pace.wrote(moved.bytes);
  if (moved.bytes < head.size() + body.size()) {  // seldom: the rest waits for the client
    auto left = moved.bytes;
    for (auto& piece : all) {
      const auto done = std::min(left, piece.iov_len);
      piece = {static_cast<char*>(piece.iov_base) + done, piece.iov_len - done};
      left -= done;
    }
    const bool sent = co_await send(all, pace);
    if (!sent) co_return false;
  }
  outcome.sent += body.size();
  if (!bodiless)
    if (const auto* file = std::get_if<File>(&response.body)) co_return co_await send_file(*file, pace, outcome);
  co_return true;
}

/// The connection goes on as another protocol, and ends with it.
Task<> Http1::change_protocol(Exchange& exchange, const Response& response, const Upgrading& upgrading) {
  auto& outcome = exchange.context.outcome;
  {
    auto out = worker_.outboxes.take();
    out->append(std::exchange(unsent_, {}));
    h1::write_head(*out, response,
                   {.length = h1::Framed::Length::none, .date = worker_.date(), .upgrade = upgrading.protocol});
    iovec piece{const_cast<char*>(out->text().data()), out->size()};
    ResponsePace pace{transport(), limits_.response_rate.bytes};
    const bool sent = co_await send({&piece, 1}, pace);
    if (!sent) {
      outcome.left();
      broken_ = true;
      co_return;
    }
    out->clear();
    worker_.outboxes.give(std::move(out));
  }
  if (const auto* held = exchange.context.noted<EndsAtUpgrade>()) held->end(held->what);
  // What the client has sent behind its request belongs to the protocol.
  std::string early(inbox().unread());
  worker_.give_inbox(std::move(connection_.inbox));
  upgrade_ = &upgrading.to;
  if (connection_.draining()) upgrade_->drain();
  const auto ended = co_await in(exchange.scope, upgrade_->run(transport(), std::move(early)));
  upgrade_ = nullptr;
  outcome.received = ended.received;
  outcome.sent = ended.sent;
  outcome.detail = ended.how;
  client_ended_ = ended.client_ended;
  broken_ = ended.client_lost;
}

/// Waits for the client to take or give bytes; false when it is too slow, gone, or the work must end.
Task<bool> Http1::wait(Want want, ResponsePace& pace) {
  const auto since = worker_.loop.now();
  const auto woken = co_await transport().wait(want, pace.patience());
  const bool fast = pace.waited(worker_.loop.now() - since);
  if (!fast) transport().abort();
  const bool go_on = fast && woken != Wake::stopped;
  co_return go_on;
}

Task<bool> Http1::send(std::span<iovec> pieces, ResponsePace& pace) {
  while (!pieces.empty()) {
    if (pieces.front().iov_len == 0) {
      pieces = pieces.subspan(1);
      continue;
    }
    const auto moved = transport().write(pieces);
    if (moved.failed()) co_return false;
    if (moved.want != Want::nothing) {
      const bool go_on = co_await wait(moved.want, pace);
      if (!go_on) co_return false;
      continue;
    }
    pace.wrote(moved.bytes);
    auto left = moved.bytes;
    for (auto& piece : pieces) {
      const auto done = std::min(left, piece.iov_len);
      piece = {static_cast<char*>(piece.iov_base) + done, piece.iov_len - done};
      left -= done;
    }
  }
  co_return true;
}

Task<bool> Http1::send_file(const File& file, ResponsePace& pace, Outcome& outcome) {
  for (std::uint64_t at = 0; at < file.length;) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(file.length - at, 1 << 20));
    const auto moved = transport().send_file(file.descriptor, file.offset + at, size);
    if (moved.failed()) co_return false;
    if (moved.want != Want::nothing) {
      const bool go_on = co_await wait(moved.want, pace);
      if (!go_on) co_return false;
      continue;
    }
    pace.wrote(moved.bytes);
    at += moved.bytes;
    outcome.sent += moved.bytes;
  }
  co_return true;
}

/// A stream has failed before anything of the answer was sent: the client is told so instead.
Task<bool> Http1::answer_failed(Exchange& exchange, const Error& error) {
  if (exchange.scope.stopped() == Stop::client_gone || error.problem == &kClientGone) co_return false;
  auto response = exchange.service.refused(error, exchange.request, exchange.context);
  exchange.context.outcome.status = response.status;
  co_return co_await answer(exchange, response);
}

/// The last chunk; fields behind the body go to a client that says it reads them (RFC 9110, section 6.5.1).
void Http1::put_end(h1::Outbox& out, const Stream& stream) const {
  const auto fields = http::trailers_of(stream);
  if (fields.empty() || !lowered(exchange_->request.headers.joined("te")).contains("trailers"))
    return out.append(h1::kLastChunk);
  out.append("0\r\n");
  for (const auto& [name, value] : fields) {
    out.append(name);
    out.append(": ");
    out.append(value);
    out.append("\r\n");
  }
  out.append("\r\n");
}

/// Sends a head without its body where that lets wait for itself: as far as the socket takes it.
struct LoneHead final : Alarm {
  LoneHead(net::Transport& transport, h1::Outbox& out) : transport(transport), out(out) {
    ring = [](Alarm& alarm) { static_cast<LoneHead&>(alarm).send(); };
  }
  void send() {
    const iovec piece{const_cast<char*>(out.text().data()), out.size()};
    const auto moved = transport.write({&piece, 1});
    out.drop(moved.bytes);
    sent = moved.bytes > 0;
  }
  net::Transport& transport;
  h1::Outbox& out;
  bool sent = false;
};

/// The head goes with the first piece, or alone where that is long in coming. A stream that fails, or is longer or
/// shorter than was said, ends the connection, so that no receiver takes the part for the whole.
Task<bool> Http1::send_stream(Stream& stream, const h1::Framed& framed, h1::Outbox& out, ResponsePace& pace,
                              Outcome& outcome) {
  const bool chunked = framed.length == h1::Framed::Length::chunked;
  const bool known = framed.length == h1::Framed::Length::known;
  bool begun = false;
  LoneHead head{transport(), out};
  worker_.loop.wheel().arm(head, worker_.loop.tick_in(kHeadWaits));
  for (bool last = false; !last;) {
    if (known && outcome.sent == framed.size && out.size() == 0) co_return true;
    waiting_ = true;
    auto piece = co_await in(exchange_->scope, stream.read());
    waiting_ = false;
    head.disarm();
    last = piece && piece->empty();
    if (piece && known && (outcome.sent + piece->size() > framed.size || (last && outcome.sent < framed.size)))
      piece = std::unexpected(other_length());
    if (!piece) {
      outcome.detail = exchange_->context.arena.keep(log_text(piece.error()));
      if (!begun && !head.sent) co_return co_await answer_failed(*exchange_, piece.error());
      outcome.cut = true;
      co_return false;
    }
    begun = true;
    if (chunked && !last) {
      out.wrote(h1::chunk_line(out.room(20), piece->size()));
    } else if (chunked) {
      put_end(out, stream);
    }
    const auto before = out.text();
    const std::string_view after = chunked && !last ? "\r\n" : "";
    std::array<iovec, 3> pieces{{{const_cast<char*>(before.data()), before.size()},
                                 {const_cast<std::byte*>(piece->data()), piece->size()},
                                 {const_cast<char*>(after.data()), after.size()}}};
    const bool sent = co_await send(pieces, pace);
    if (!sent) co_return false;
    outcome.sent += piece->size();
    out.clear();
  }
  co_return true;
}

Task<Result<Bytes>> Http1::read() {
  auto& body = inbox().body;
  if (body.framing() == h1::Framing::length && body_read_ == 0 && body.left() > exchange_->context.body_limit) {
    co_return fail(http::kBodyTooLarge, "The limit is " + std::to_string(exchange_->context.body_limit) + " bytes.");
  }
  for (;;) {
    const auto step = body.read(inbox().unread());
    inbox().used(step.consumed);
    if (!step.data.empty()) {
      body_read_ += step.data.size();
      if (body_read_ > exchange_->context.body_limit)
        co_return fail(http::kBodyTooLarge,
                       "The limit is " + std::to_string(exchange_->context.body_limit) + " bytes.");
      body_pace_.moved(step.data.size());
      co_return as_bytes(step.data);
    }
    using State = h1::BodyReader::State;
    if (step.state == State::complete) {
      if (const auto fields = body.trailers(exchange_->context.arena); !fields.empty())
        exchange_->context.note<RequestTrailers>(fields);
      co_return Bytes{};
    }
    if (step.state == State::refused) co_return std::unexpected(body.error());
    const auto more = co_await more_body();
    if (!more) co_return std::unexpected(more.error());
  }
}

/// Goes at once as far as the socket takes it, and what is left with what is written next.
void Http1::inform(std::uint16_t status, std::span<const Header> fields) {
  if (exchange_->request.version < 11 || broken_) return;
  Response response{.status = status, .headers = Headers{exchange_->context.arena}};
  for (const auto& [name, value] : fields) response.headers.add(lasting(name), lasting(value));
  auto out = worker_.outboxes.take();
  h1::write_head(*out, response, {.length = h1::Framed::Length::none});
  unsent_ += out->text();
  out->clear();
  worker_.outboxes.give(std::move(out));
  if (asking_) return;
  const iovec piece{unsent_.data(), unsent_.size()};
  unsent_.erase(0, transport().write({&piece, 1}).bytes);
}

/// Reads on; asks for the body first where the client waits for that.
Task<Result<>> Http1::more_body() {
  if (continue_due_) {
    continue_due_ = false;
    auto text = std::exchange(unsent_, {}).append(h1::kContinue);
    iovec piece{text.data(), text.size()};
    ResponsePace pace{transport(), limits_.response_rate.bytes};
    asking_ = true;
    const bool sent = co_await send({&piece, 1}, pace);
    asking_ = false;
    if (!sent) co_return fail(kClientGone);
  }
  for (;;) {
    const auto moved = transport().read(inbox().room());
    inbox().filled(moved.bytes);
    if (moved.bytes) {
      if (transport().descriptor().hung_up()) look_again();
      co_return Result<>{};
    }
    if (moved.ended) {
      client_ended_ = true;
      co_return fail(kBodyBroken);
    }
    if (moved.failed()) co_return fail(kClientGone);
    const auto since = worker_.loop.now();
    reading_ = true;
    const auto woken = co_await transport().wait(moved.want, body_pace_.patience());
    const bool fast = body_pace_.waited(worker_.loop.now() - since);
    if (woken == Wake::ready && fast) co_await worker_.ready.again();
    reading_ = false;
    if (woken == Wake::stopped) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope ? scope->stopped() : Stop::drain));
    }
    if (!fast) co_return fail(kBodyTooSlow);
  }
}

/// The client has ended while its body was read: when the service waits for something else, nobody waits for it.
void Http1::look_again() {
  look_.http = this;
  look_.ring = [](Alarm& alarm) { static_cast<Look&>(alarm).http->hung_up(); };
  worker_.loop.wheel().arm(look_, worker_.loop.tick_in(0));
}

/// What nobody read of the body is thrown away, so that the next request can be found behind it.
Task<bool> Http1::discard_body() {
  auto& body = inbox().body;
  std::uint64_t thrown = 0;
  while (!body.complete()) {
    const auto step = body.read(inbox().unread());
    inbox().used(step.consumed);
    thrown += step.consumed;
    if (step.state == h1::BodyReader::State::refused || thrown > kDiscarded) co_return false;
    if (body.complete() || step.consumed) continue;
    const auto more = co_await more_body();
    if (!more) co_return false;
  }
  co_return true;
}

/// The problem that closes the connection.
Task<> Http1::refuse(Error error) {
  auto arena = worker_.arenas.take();
  {
    auto& exchange = arena->make<Exchange>(*arena, connection_, [](Request&) {});
    auto response = exchange.service.refused(error, exchange.request, exchange.context);
    exchange.context.answered();
    exchange.context.outcome.status = response.status;
    const auto out = worker_.outboxes.take();
    const auto* text = std::get_if<std::string_view>(&response.body);
    h1::write_head(*out, response, {.size = text ? text->size() : 0, .keep_alive = false, .date = worker_.date()});
    if (text) out->append(*text);
    if (text) exchange.context.outcome.sent = text->size();
    iovec piece{const_cast<char*>(out->text().data()), out->size()};
    ResponsePace pace{transport(), limits_.response_rate.bytes};
    const bool sent = co_await send({&piece, 1}, pace);
    if (!sent) broken_ = true;
  }
  arena->release();
  worker_.arenas.give(std::move(arena));
}

/// A socket that is closed while bytes of the client lie in it is reset, and the client may lose the answer before it
/// reads it. So this side ends first, and reads on until the other does, for a while (RFC 9112, section 9.6).
Task<> Http1::linger() {
  if (!broken_) {
    transport().finish();
    if (!connection_.inbox) connection_.inbox = worker_.take_inbox();
    const auto until = worker_.loop.now() + kLinger;
    std::uint64_t thrown = 0;
    while (!client_ended_ && thrown <= kLingered) {
      inbox().used(inbox().unread().size());
      const auto moved = transport().read(inbox().room());
      thrown += moved.bytes;
      if (moved.ended || moved.failed()) break;
      if (moved.want == Want::nothing) continue;
      const auto left = until - worker_.loop.now();
      if (left <= 0) break;
      const auto woken = co_await transport().wait(moved.want, left);
      if (woken != Wake::ready) break;
    }
  }
  if (connection_.inbox) worker_.give_inbox(std::move(connection_.inbox));
}

}  // namespace

std::unique_ptr<Protocol> http1(Connection& connection) { return std::make_unique<Http1>(connection); }

}  // namespace plimsoll::edge
