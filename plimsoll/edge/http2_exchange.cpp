#include "plimsoll/edge/http2_exchange.hpp"

#include "plimsoll/edge/http2_channel.hpp"
#include "plimsoll/edge/problems.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/exchange/request_trailers.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/target.hpp"
#include "plimsoll/http/trailing.hpp"
#include "plimsoll/http/websocket.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace plimsoll::edge {
namespace {

constexpr std::size_t kFilePiece = 64 * 1024;

}  // namespace

/// The head of a streamed response, which goes alone where the first bytes of the body are long in coming.
struct Http2Exchange::LateHead final : Alarm {
  LateHead(Http2Exchange& exchange, const Response& response, std::span<const Header> more)
      : exchange(exchange), response(response), more(more) {
    ring = [](Alarm& alarm) { static_cast<LateHead&>(alarm).send(); };
    auto& loop = exchange.http2_.connection().worker.loop;
    loop.wheel().arm(*this, loop.tick_in(kHeadWaits));
  }
  void send() {
    if (std::exchange(sent, true)) return;
    exchange.http2_.session().respond(exchange, response.status, response.headers, more, true, response.block);
    exchange.http2_.wake();
  }
  Http2Exchange& exchange;
  const Response& response;
  const std::span<const Header> more;
  bool sent = false;
};

Http2Exchange::Http2Exchange(Http2Connection& http2, std::unique_ptr<Arena> arena, const http::H2Head& head)
    : http2_(http2),
      arena_(std::move(arena)),
      exchange_(arena_->make<Exchange>(*arena_, http2.connection(), [&](Request& request) { fill(request, head); })),
      refusal_(head.refusal),
      came_(http2.connection().worker.loop),
      drained_(http2.connection().worker.loop),
      in_pace_(http2.connection().worker.shared.limits.body_rate.bytes, kBodyWindow),
      out_pace_(http2.connection().worker.shared.limits.response_rate.bytes, kResponseWindow) {
  body_ended_ = head.ended;
  continue_due_ = !head.ended && same_as_lower(exchange_.request.headers.find("expect"), "100-continue");
}

/// Copies the head, which is gone when the session's call returns, into the arena in one piece. Called while this is
/// being constructed.
void Http2Exchange::fill(Request& request, const http::H2Head& head) {
  std::size_t size = head.method.size() + head.path.size() + head.authority.size();
  for (auto& field : head.fields) size += field.name.size() + field.value.size();
  auto* to = static_cast<char*>(arena_->take(size + 1));
  const auto copy = [&](std::string_view text) {
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    const std::string_view made{to, text.size()};
    to += text.size();
    return made;
  };
  request.version = 20;
  request.method = copy(head.method);
  if (!head.protocol.empty()) {
    request.method = "GET";
    request.protocol = "websocket";  // no other is served
  }
  request.target = request.path = copy(head.path);
  request.authority = copy(head.authority);
  if (request.peer.tls) request.scheme = "https";
  for (auto& field : head.fields) {
    const auto name = copy(field.name);
    request.headers.add(lasting(name), lasting(copy(field.value)));
  }
  http2_.connection().identify(request);
  if (const auto target = split_target(request.target)) {
    request.path = target->path;
    request.query = target->query;
    request.has_query = target->has_query;
  }
  if (!head.ended && head.protocol.empty()) {
    request.body = this;
    request.content_length = head.content_length;
  }
}

bool Http2Exchange::skipped() {
  if (closed_) line_ended_ = true;
  return closed_;
}

void Http2Exchange::begin() {
  served_ = !refusal_;
  exchange_.context.interim = this;
  const auto line = run().handle;
  line.promise().scope = &exchange_.scope;
  line.resume();
}

Line Http2Exchange::run() {
  try {
    auto response = co_await respond();
    exchange_.context.answered();
    exchange_.context.interim = nullptr;
    auto& outcome = exchange_.context.outcome;
    outcome.status = response.status;
    outcome.received = body_read_;
    if (exchange_.scope.stopped() == Stop::client_gone) outcome.left();
    const bool asks = !exchange_.request.protocol.empty() && !refusal_ && !closed_;
    const auto* upgrading = asks && response.status == 101 ? exchange_.context.noted<Upgrading>() : nullptr;
    if (asks && !upgrading && response.status < 300) [[unlikely]] {
      response = exchange_.service.refused({&http::kWebSocketNotOpened}, exchange_.request, exchange_.context);
      outcome.status = response.status;
    }
    if (upgrading) co_await change_protocol(response, upgrading->to);
    answered_ = true;
    if (!closed_ && !upgrading && exchange_.waits(response))
      co_await exchange_.make_room(*http2_.connection().worker.shared.bodies, response);
    if (!closed_ && !upgrading) co_await answer(response);
  } catch (...) {  // no memory for the answer itself
    http2_.session().reset(*this, http::H2Error::internal_error);
  }
  line_ended_ = true;
  http2_.wake();
  http2_.ended(*this);
}

Task<Response> Http2Exchange::respond() {
  auto& service = exchange_.service;
  if (refusal_) co_return service.refused({declared(*refusal_)}, exchange_.request, exchange_.context);
  std::optional<Response> response;
  try {
    const auto importance = service.route(exchange_.request, exchange_.context);
    co_await http2_.connection().worker.ready.turn(exchange_.context, exchange_.request.peer, importance);
    if (closed_) co_return Response{.status = kClientGone.status, .headers = Headers{*arena_}};
    response.emplace(co_await service.serve(exchange_.request, exchange_.context));
  } catch (...) {  // the service renders its errors; what comes here is its own
    response.emplace(service.refused(error_from_current_exception(), exchange_.request, exchange_.context));
  }
  co_return std::move(*response);
}

/// Hands the answer to the session. Bytes that stay where they are until the stream ends need no line of work.
Task<> Http2Exchange::answer(Response& response) {
  auto& session = http2_.session();
  const auto status = response.status;
  const bool bodiless = status < 200 || status == 204 || status == 304 || exchange_.request.method == "HEAD";
  std::optional<std::uint64_t> size = 0;
  Bytes whole;
  if (const auto* text = std::get_if<std::string_view>(&response.body)) whole = as_bytes(*text);
  if (const auto* buffer = std::get_if<Buffer>(&response.body)) {
    whole = exchange_.context.keep<Buffer>(*buffer).bytes;  // until the last byte is sent
  }
  const auto* file = std::get_if<File>(&response.body);
  const auto* stream = std::get_if<Stream*>(&response.body);
  if (!whole.empty()) size = whole.size();
  if (file) size = file->length;
  if (stream || bodiless)
    if (const auto declared = declared_length(response); declared || stream) size = declared;

  // In the arena, like all that the session looks at until the head is sent.
  auto& more = arena_->make<std::array<Header, 2>>();
  std::size_t count = 0;
  if (!response.headers.contains("date")) more[count++] = {"date", arena_->keep(http2_.connection().worker.date())};
  if (size && status >= 200 && status != 204 && status != 304) {
    auto* digits = static_cast<char*>(arena_->take(20));
    const auto end = std::to_chars(digits, digits + 20, *size).ptr;
    more[count++] = {"content-length", {digits, static_cast<std::size_t>(end - digits)}};
  }
  const bool content = !bodiless && (stream || (size && *size > 0));
  if (content && stream) {
    LateHead head{*this, response, {more.data(), count}};
    co_await send_stream(**stream, size, head);
    co_return;
  }
  session.respond(*this, status, response.headers, {more.data(), count}, content, response.block);
  http2_.wake();
  if (!content) co_return;
  if (file) {
    co_await send_file(*file);
  } else {
    session.supply(*this, whole, true);
  }
}

/// The stream goes on as another protocol, and ends with it.
Task<> Http2Exchange::change_protocol(const Response& response, Upgrade& to) {
  auto& context = exchange_.context;
  channel_ = &arena_->make<Http2Channel>(http2_, *this, std::move(incoming_), body_ended_);
  const auto& date = arena_->make<Header>("date", arena_->keep(http2_.connection().worker.date()));
  const bool dated = response.headers.contains("date");
  http2_.session().respond(*this, 200, response.headers, {&date, dated ? 0u : 1u}, true, response.block);
  http2_.wake();
  http2_.changed(*this);
  if (const auto* held = context.noted<EndsAtUpgrade>()) held->end(held->what);
  upgrade_ = &to;
  if (http2_.connection().draining()) to.drain();
  const auto ended = co_await to.run(*channel_, {});
  upgrade_ = nullptr;
  context.outcome.received = ended.received;
  context.outcome.detail = ended.how;
  channel_->close(ended.service_lost);
}

/// Supplies a piece and waits until it is taken; false when the stream has ended instead.
Task<bool> Http2Exchange::send(Bytes piece, bool last) {
  if (closed_) co_return false;
  http2_.session().supply(*this, piece, last);
  http2_.wake();
  if (last || piece.empty()) co_return true;
  const bool taken = co_await drained_;
  co_return taken && !closed_;
}

/// A stream has failed before anything of the answer was sent: the client is told so instead.
Task<> Http2Exchange::answer_failed(const Error& error) {
  if (closed_) co_return;
  auto response = exchange_.service.refused(error, exchange_.request, exchange_.context);
  exchange_.context.outcome.status = response.status;
  co_await answer(response);
}

/// A stream that fails, or is longer or shorter than was said, is reset, so that no receiver takes the part for the
/// whole.
Task<> Http2Exchange::send_stream(Stream& stream, std::optional<std::uint64_t> size, LateHead& head) {
  auto& session = http2_.session();
  for (;;) {
    auto piece = co_await stream.read();
    head.disarm();
    const bool last = piece && piece->empty();
    if (piece && size && (sent() + piece->size() > *size || (last && sent() < *size)))
      piece = std::unexpected(other_length());
    if (!piece) {
      exchange_.context.outcome.detail = arena_->keep(log_text(piece.error()));
      if (!head.sent) {
        co_await answer_failed(piece.error());
        co_return;
      }
      exchange_.context.outcome.cut = true;
      session.reset(*this, http::H2Error::internal_error);
      co_return;
    }
    head.send();
    if (last) session.trail(*this, http::trailers_of(stream));
    const bool taken = co_await send(*piece, last);
    if (last) co_return;
    if (!taken) {
      session.reset(*this, http::H2Error::cancel);
      co_return;
    }
  }
}

Task<> Http2Exchange::send_file(const File& file) {
  const auto piece = std::make_unique_for_overwrite<std::byte[]>(std::min<std::uint64_t>(file.length, kFilePiece));
  for (std::uint64_t at = 0; at < file.length;) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(file.length - at, kFilePiece));
    ssize_t n = 0;
    do n = ::pread(file.descriptor, piece.get(), wanted, static_cast<off_t>(file.offset + at));
    while (n < 0 && errno == EINTR);
    bool taken = n > 0;  // else it is shorter than was said
    if (taken) taken = co_await send({piece.get(), static_cast<std::size_t>(n)}, false);
    if (!taken) {
      http2_.session().reset(*this, http::H2Error::internal_error);
      co_return;
    }
    at += static_cast<std::uint64_t>(n);
  }
  (void)co_await send({}, true);
}

Task<Result<Bytes>> Http2Exchange::read() {
  if (!reading_.empty()) {
    http2_.session().consumed(*this, reading_.size());
    http2_.wake();
    reading_.clear();
  }
  const auto limit = exchange_.context.body_limit;
  const auto too_large = [limit] {
    return fail(http::kBodyTooLarge, "The limit is " + std::to_string(limit) + " bytes.");
  };
  if (body_read_ == 0 && exchange_.request.content_length.value_or(0) > limit) co_return too_large();
  for (;;) {
    if (!incoming_.empty()) {
      std::swap(reading_, incoming_);
      body_read_ += reading_.size();
      if (body_read_ > limit) co_return too_large();
      co_return as_bytes(reading_);
    }
    if (body_ended_) co_return Bytes{};
    if (closed_) co_return fail(kBodyBroken);
    if (too_slow_) co_return fail(kBodyTooSlow);
    if (continue_due_) {
      continue_due_ = false;
      http2_.session().go_on(*this);
      http2_.wake();
    }
    const bool came = co_await came_;
    if (!came) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope ? scope->stopped() : Stop::drain));
    }
    co_await http2_.connection().worker.ready.again();
  }
}

void Http2Exchange::body(Bytes piece) {
  if (channel_) return channel_->came(as_text(piece));
  if (answered_) {  // nobody reads it any more
    http2_.session().consumed(*this, piece.size());
    return;
  }
  incoming_.append(as_text(piece));
  in_pace_.moved(piece.size());
  continue_due_ = false;  // a body that has begun to come needs no invitation
  came_.happen();
}

std::span<const Header> Http2Exchange::kept(std::span<const Header> fields) {
  auto* const made = arena_->array<Header>(fields.size());
  std::ranges::transform(
      fields, made, [&](const Header& field) { return Header{arena_->keep(field.name), arena_->keep(field.value)}; });
  return {made, fields.size()};
}

void Http2Exchange::trailers(std::span<const Header> fields) { exchange_.context.note<RequestTrailers>(kept(fields)); }

void Http2Exchange::inform(std::uint16_t status, std::span<const Header> fields) {
  if (closed_) return;
  http2_.session().inform(*this, arena_->make<http::H2Interim>(status, kept(fields)));
  http2_.wake();
}

void Http2Exchange::body_ended() {
  if (channel_) return channel_->came_all();
  body_ended_ = true;
  came_.happen();
}

void Http2Exchange::drained() {
  if (channel_) return channel_->drained();
  drained_.happen();
}

void Http2Exchange::closed(http::H2Error why) {
  closed_ = true;
  why_closed_ = why;
  if (line_ended_) return;
  if (channel_) {
    if (why != http::H2Error::no_error) channel_->broke();
    return;
  }
  // The client does not want the answer any more: whoever works on it is told.
  if (why != http::H2Error::no_error) stop(Stop::client_gone);
  came_.happen();
  drained_.happen();
}

void Http2Exchange::stop(Stop why) {
  if (channel_ && why == Stop::client_gone) return channel_->broke();
  exchange_.scope.stop(why);
}

void Http2Exchange::judge(Nanoseconds span) {
  if (closed_ || upgrade_) return;
  if (came_.waited_for() && !in_pace_.waited(span)) {
    too_slow_ = true;
    came_.happen();
  }
  out_pace_.moved(sent() - judged_);
  judged_ = sent();
  if (pending() > 0 && !out_pace_.waited(span)) {
    http2_.session().reset(*this, http::H2Error::cancel);
    http2_.wake();
  }
}

void Http2Exchange::release() {
  auto& outcome = exchange_.context.outcome;
  outcome.sent = sent();
  const bool broken = why_closed_ != http::H2Error::no_error && !channel_ && !outcome.cut;
  if (broken || !answered_) outcome.client_gone = true;
  auto& worker = http2_.connection().worker;
  if (served_) exchange_.service.finished(exchange_.request, exchange_.context);
  auto arena = std::move(arena_);
  arena->release();  // ends this exchange too
  worker.arenas.give(std::move(arena));
}

}  // namespace plimsoll::edge
