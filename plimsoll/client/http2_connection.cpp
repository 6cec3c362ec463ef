#include "plimsoll/client/http2_connection.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/async/watched.hpp"
#include "plimsoll/client/call_state.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/trailing.hpp"

#include <algorithm>
#include <array>
#include <system_error>

namespace plimsoll::client {
namespace {

/// What is gathered for one write.
constexpr std::size_t kWrite = 64 * 1024;
/// Reads and writes of one connection in one turn, before the others have theirs.
constexpr int kReadsATurn = 8, kWritesATurn = 4;
/// How long the socket may stay full.
constexpr auto kFull = 30 * kSecond;
/// How often a connection without calls is looked at.
constexpr auto kLook = 5 * kSecond;

/// Bytes read are dealt with before the next connection reads: one buffer serves a thread.
thread_local std::array<char, 64 * 1024> arrived;

http::H2Options session_options() {
  constexpr auto kWhole = Http2Connection::kStreams * Http2Connection::kStreamWindow;
  return {.streams = Http2Connection::kStreams,
          .stream_window = Http2Connection::kStreamWindow,
          .connection_window = kWhole,
          .header_list = 64 << 10,
          .header_count = 1000,
          // What a server does for itself is no attack where it does it to all of a hundred calls.
          .allowances = {.resets = {2000, 2 * kSecond}, .header_block = 64 << 10}};
}

std::string_view name_of(http::H2Error why) {
  using enum http::H2Error;
  switch (why) {
    case no_error: return "NO_ERROR";
    case protocol_error: return "PROTOCOL_ERROR";
    case internal_error: return "INTERNAL_ERROR";
    case flow_control_error: return "FLOW_CONTROL_ERROR";
    case settings_timeout: return "SETTINGS_TIMEOUT";
    case stream_closed: return "STREAM_CLOSED";
    case frame_size_error: return "FRAME_SIZE_ERROR";
    case refused_stream: return "REFUSED_STREAM";
    case cancel: return "CANCEL";
    case compression_error: return "COMPRESSION_ERROR";
    case connect_error: return "CONNECT_ERROR";
    case enhance_your_calm: return "ENHANCE_YOUR_CALM";
    case inadequate_security: return "INADEQUATE_SECURITY";
    case http_1_1_required: return "HTTP_1_1_REQUIRED";
  }
  return "an unknown error";
}

Answer answer_of(const http::H2AnswerHead& head) {
  Answer answer{.status = head.status};
  answer.headers.reserve(head.fields.size());
  for (const auto& [name, value] : head.fields) answer.headers.emplace_back(name, value);
  return answer;
}

}  // namespace

Http2Connection::Http2Connection(Loop& loop, std::unique_ptr<net::Transport> transport, Http2Keeper& keeper,
                                 std::string origin, const IdleLimits& idle)
    : loop_(loop),
      transport_(std::move(transport)),
      keeper_(keeper),
      origin_(std::move(origin)),
      idle_(idle),
      session_(session_options()) {
  look_.of = this;
  flush_.run = [](Deferred& deferred) {
    const auto connection = std::move(static_cast<Flush&>(deferred).connection);
    connection->guarded([&] { connection->flush(); });
  };
  look_.ring = [](Alarm& alarm) {
    const auto connection = static_cast<Look&>(alarm).of->shared_from_this();
    connection->guarded([&] { connection->look(); });
  };
  heard_at_ = loop_.now();
}

Http2Connection::~Http2Connection() = default;

void Http2Connection::wake() {
  if (broken_ || flush_.deferred()) return;
  flush_.connection = shared_from_this();
  loop_.defer(flush_);
}

void Http2Connection::begin(Http2Attempt& call, const http::H2RequestHead& head, bool content) {
  session_.request(call, head, content);
  join(call);
  wake();
}

void Http2Connection::join(Http2Attempt& call) {
  calls_.push_back(&call);
  look_.disarm();
  if (!running_) {
    running_ = true;
    heard_at_ = loop_.now();
    asked_at_ = 0;
    loop_.spawn(reading_scope_, run(shared_from_this()));
  }
}

void Http2Connection::ended(Http2Attempt& call) {
  std::erase(calls_, &call);
  used_ = true;
  if (calls_.empty() && reading_) reading_->stop(Stop::lost_race);
  wake();
}

/// By the loop, which must not meet an exception: the connection ends instead.
template <class F>
void Http2Connection::guarded(F work) noexcept {
  try {
    work();
  } catch (...) { lose("no memory"); }
}

/// Reads as long as there are calls.
Task<> Http2Connection::run(std::shared_ptr<Http2Connection> self) {
  do {
    Scope inner;
    reading_ = &inner;
    try {
      co_await in(inner, read());
    } catch (...) { lose("no memory"); }
    reading_ = nullptr;
  } while (!calls_.empty() && !broken_);
  running_ = false;
  guarded([this] {
    if (!broken_) no_calls();
  });
  self.reset();
}

Task<> Http2Connection::read() {
  for (int reads = 0; !broken_ && !calls_.empty();) {
    const auto moved = transport_->read(arrived);
    if (moved.bytes > 0) {
      const bool good = receive({arrived.data(), moved.bytes});
      if (!good) co_return;
      if (++reads % kReadsATurn == 0) co_await next_turn(loop_);
      continue;
    }
    if (moved.failed() || moved.ended) {
      lose(moved.failed() ? std::generic_category().message(moved.error) : "the connection ended");
      co_return;
    }
    const auto woken = co_await transport_->wait(moved.want, idle_.quiet);
    if (woken == Wake::stopped) co_return;
    if (woken == Wake::ready) continue;
    if (asked_at_) {
      lose("it gives no sign of life");
      co_return;
    }
    asked_at_ = loop_.now();
    session_.ping();
    wake();
  }
}

bool Http2Connection::receive(std::string_view bytes) {
  heard_at_ = loop_.now();
  asked_at_ = 0;
  const bool good = session_.receive(as_bytes(bytes), loop_.now());
  if (!good) {
    flush();
    lose("HTTP/2: " + std::string(session_.complaint()));
    return false;
  }
  if (session_.wants_write()) wake();
  if (session_.settled() && !std::exchange(settled_, true))
    for (auto* call : calls_) call->came_.happen();
  if (!session_.usable() && !std::exchange(told_over_, true)) keeper_.over(*this);
  return true;
}

/// Writes what there is to write, all of a turn at once.
void Http2Connection::flush() {
  thread_local std::string out;
  for (int writes = 0; !writing_ && !broken_; ++writes) {
    if (writes == kWritesATurn) return wake();
    out.clear();
    ++batch_;
    session_.gather(out, kWrite);
    if (out.empty()) return;
    const iovec piece{out.data(), out.size()};
    const auto moved = transport_->write({&piece, 1});
    if (moved.failed()) {
      // Nothing of this write has left.
      for (auto* call : calls_)
        if (call->batch_ == batch_) call->head_sent_ = false;
      return lose(std::generic_category().message(moved.error));
    }
    if (moved.bytes == out.size()) continue;
    rest_.assign(out, moved.bytes);
    rest_at_ = 0;
    writing_ = true;
    loop_.spawn(writing_scope_, write_rest(shared_from_this()));
  }
}

/// The socket is full: waits for it, then goes on where it stopped.
Task<> Http2Connection::write_rest(std::shared_ptr<Http2Connection> self) {
  while (!broken_ && rest_at_ < rest_.size()) {
    const iovec piece{rest_.data() + rest_at_, rest_.size() - rest_at_};
    const auto moved = transport_->write({&piece, 1});
    if (moved.failed()) lose(std::generic_category().message(moved.error));
    rest_at_ += moved.bytes;
    if (moved.want == net::Want::nothing) continue;
    const auto woken = co_await transport_->wait(moved.want, kFull);
    if (woken == Wake::late) lose("it takes no bytes");
  }
  rest_ = {};
  rest_at_ = 0;
  writing_ = false;
  wake();
  self.reset();
}

/// The connection is of no use any more, and so are its calls.
void Http2Connection::lose(std::string why) noexcept {
  if (std::exchange(broken_, true)) return;
  const auto self = shared_from_this();
  look_.disarm();
  const auto calls = std::exchange(calls_, {});
  for (auto* call : calls) {
    call->lose(why);
    session_.forget(*call);
  }
  if (reading_) reading_->stop(Stop::lost_race);
  writing_scope_.stop(Stop::lost_race);
  if (!std::exchange(told_over_, true)) keeper_.over(*this);
}

void Http2Connection::end(std::string_view why) {
  if (broken_) return;
  session_.terminate(http::H2Error::no_error, why);
  flush();
  lose(std::string(why));
}

void Http2Connection::no_calls() {
  if (!session_.usable() || !keeper_.may_rest(*this)) return end({});
  idle_since_ = loop_.now();
  look_again();
}

void Http2Connection::look_again() {
  loop_.wheel().arm(look_, loop_.tick_in(std::min({kLook, idle_.time / 2, idle_.quiet})));
}

void Http2Connection::look() {
  if (!check()) return;
  const auto now = loop_.now();
  if (now - idle_since_ >= idle_.time) return end("idle");
  if (asked_at_ && now - asked_at_ >= idle_.quiet) return lose("it gives no sign of life");
  if (!asked_at_ && now - heard_at_ >= idle_.quiet) {
    asked_at_ = now;
    session_.ping();
    wake();
  }
  look_again();
}

bool Http2Connection::check() {
  if (running_ || broken_) return usable();
  const auto self = shared_from_this();
  for (int reads = 0; reads < kReadsATurn; ++reads) {
    const auto moved = transport_->read(arrived);
    if (moved.failed() || moved.ended) {
      lose("the connection ended");
      return false;
    }
    if (moved.bytes == 0) break;
    const bool good = receive({arrived.data(), moved.bytes});
    if (!good) return false;
  }
  if (session_.usable()) return true;
  end({});
  return false;
}

Http2Attempt::Http2Attempt(Loop& loop, std::shared_ptr<Http2Connection> connection)
    : loop_(loop), connection_(std::move(connection)), came_(loop), drained_(loop), continued_(loop), never_(loop) {}

Http2Attempt::~Http2Attempt() {
  if (id()) connection_->session_.abandon(*this, http::H2Error::cancel);
}

Task<Result<bool>> Http2Attempt::connects() {
  struct Joined {
    Http2Connection& connection;
    Http2Attempt& call;
    Joined(Http2Connection& to, Http2Attempt& who) : connection(to), call(who) { connection.join(call); }
    ~Joined() { connection.ended(call); }
  };
  const Joined joined{*connection_, *this};
  while (!connection_->session_.settled()) {
    if (lost_) co_return fail(net::kNetwork, lost_why_);
    const bool came = co_await came_;
    if (!came) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
  }
  co_return connection_->session_.connects();
}

Task<Result<>> Http2Attempt::exchange(const Outgoing& request, std::string_view scheme, CallState& state) {
  const Progress progress{state, *this};
  request_ = request;
  left_ = request.rest_size;
  idle_ = state.timeouts.idle;
  until_ = state.until;
  for (const auto& field : *request.fields)
    if (!is_made_here(field.name) && !(request.upgrade && same_as_lower(field.name, "sec-websocket-key")))
      fields_.push_back({field.name, trimmed(field.value)});  // section 8.2.1
  std::size_t more = 0;
  if (request.expects) more_[more++] = {"expect", "100-continue"};
  if (!request.upgrade)
    more_[more++] = {"te", "trailers"};  // some servers of gRPC refuse a caller that does not read them
  if (!request.trailer.empty()) more_[more++] = {"trailer", request.trailer};
  if (request.says_length && !request.unknown_length) {
    length_ = std::to_string(request.body.size() + request.rest_size);
    more_[more++] = {"content-length", length_};
  }
  const http::H2RequestHead head{.method = request.upgrade ? "CONNECT" : request.method,
                                 .scheme = scheme,
                                 .authority = request.authority,
                                 .path = request.target,
                                 .protocol = request.upgrade ? "websocket" : "",
                                 .fields = fields_,
                                 .more = {more_.data(), more}};
  sending_ = request.has_content();
  connection_->begin(*this, head, sending_ || request.upgrade);
  if (sending_) {
    const auto sent = co_await watched(send(), watch_head(), Stop::lost_race);
    if (body_failed_) co_return sent;
    // Told to stop, or too late; a call that was reset may have brought an answer before.
    if (!head_result_ && !sent && sent.error().problem != &net::kNetwork) co_return sent;
  }
  if (!head_result_) head_result_ = co_await receive_head(std::min(until_, loop_.now() + state.timeouts.first_byte));
  // An answer that refuses is not worth the rest of a body.
  if (answer_.status >= 300) sending_ = false;
  co_return std::move(*head_result_);
}

std::uint16_t Http2Attempt::head(Headers& fields) {
  for (const auto& [name, value] : answer_.headers) fields.add(name, value);
  return answer_.status;
}

/// A stream that is still open (the request's body is on its way) ends in its own time.
std::string_view Http2Attempt::short_body(std::size_t most) {
  if (!ended_ || id() || !trailers_.empty() || incoming_.size() > most) return {};
  whole_body_ = std::exchange(incoming_, {});
  return whole_body_;
}

Task<> Http2Attempt::watch_head() {
  auto read = co_await receive_head(until_);
  const Scope* scope = co_await this_scope();
  if (read || scope->stopped() == Stop::none) head_result_ = std::move(read);
}

Task<Result<>> Http2Attempt::receive_head(Nanoseconds until) {
  while (!head_came_) {
    if (closed_) co_return std::unexpected(why_closed());
    const auto left = until - loop_.now();
    if (left <= 0) co_return std::unexpected(error_of(Stop::deadline));
    const auto woken = co_await came_.within(std::min(left, 3600 * kSecond));
    if (woken == Wake::stopped) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
  }
  // A head with which the stream was reset is no answer: nothing of its body will come.
  if (closed_ && !ended_ && incoming_.empty()) co_return std::unexpected(why_closed());
  co_return Result<>{};
}

Task<Result<>> Http2Attempt::send() {
  if (!request_.body.empty() || !request_.rest) {
    piece_pending_ = true;
    if (!request_.rest) trail();
    connection_->session_.supply(*this, as_bytes(request_.body), !request_.rest);
  }
  if (!request_.rest) {
    auto done = co_await taken();
    co_return done;
  }
  auto rest = co_await send_rest();
  co_return rest;
}

/// Waits until the piece that was supplied is on its way. `idle` is for each of its bytes.
Task<Result<>> Http2Attempt::taken() {
  auto before = pending();
  while (piece_pending_) {
    if (closed_) co_return std::unexpected(why_closed());
    const auto until = idle_ ? std::min(until_, loop_.now() + idle_) : until_;
    const auto left = until - loop_.now();
    if (left <= 0) co_return std::unexpected(error_of(Stop::deadline));
    const auto woken = co_await drained_.within(std::min(left, 3600 * kSecond));
    if (woken == Wake::stopped) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
    if (woken == Wake::late && pending() == before && piece_pending_ && idle_)
      co_return std::unexpected(error_of(Stop::deadline));
    before = pending();
  }
  co_return Result<>{};
}

/// The body that comes as a stream; it can be told to stop, and goes on where it stopped when it is called again.
Task<Result<>> Http2Attempt::send_rest() {
  for (;;) {
    auto gone = co_await taken();
    if (!gone || sent_) co_return gone;
    if (closed_) co_return std::unexpected(why_closed());
    if (std::exchange(request_.expects, false)) {
      const auto woken = co_await continued_.within(kContinue);
      if (woken == Wake::stopped) {
        const Scope* scope = co_await this_scope();
        co_return std::unexpected(error_of(scope->stopped()));
      }
      if (closed_) co_return std::unexpected(why_closed());
    }
    body_begun_ = true;
    auto read = co_await request_.rest->read();
    if (!read) {
      const Scope* scope = co_await this_scope();
      body_failed_ = !scope || scope->stopped() == Stop::none;
      co_return std::unexpected(std::move(read).error());
    }
    const auto size = read->size();
    if (!request_.unknown_length && (size > left_ || (size == 0 && left_ > 0))) {
      body_failed_ = true;
      co_return fail(kInternal, "the body of a request does not have its declared length");
    }
    if (!request_.unknown_length) left_ -= size;
    if (closed_) co_return std::unexpected(why_closed());
    piece_pending_ = true;
    if (size == 0) trail();
    connection_->session_.supply(*this, *read, size == 0);
    connection_->wake();
  }
}

/// Fields behind the body, which has ended.
void Http2Attempt::trail() {
  if (request_.trailing) connection_->session_.trail(*this, request_.trailing->trailers());
}

/// While the answer comes: a service may answer each piece of a body as it comes.
Task<> Http2Attempt::keep_sending() {
  const auto done = co_await send_rest();
  if (!done && body_failed_) connection_->session_.abandon(*this, http::H2Error::cancel);
  (void)co_await never_;
}

Task<Result<std::string_view>> Http2Attempt::piece() {
  if (!reading_.empty()) {
    connection_->session_.consumed(*this, reading_.size());
    if (connection_->session_.wants_write()) connection_->wake();
    reading_.clear();
  }
  if (!incoming_.empty()) {
    std::swap(reading_, incoming_);
    co_return reading_;
  }
  if (sending_) {
    auto piece = co_await watched(next_piece(), keep_sending(), Stop::lost_race);
    co_return piece;
  }
  auto piece = co_await next_piece();
  co_return piece;
}

Task<Result<std::string_view>> Http2Attempt::next_piece() {
  for (;;) {
    if (!incoming_.empty()) {
      std::swap(reading_, incoming_);
      co_return reading_;
    }
    if (ended_) co_return std::string_view{};
    if (closed_) co_return std::unexpected(why_closed());
    const auto left = (idle_ ? std::min(until_, loop_.now() + idle_) : until_) - loop_.now();
    if (left <= 0) co_return std::unexpected(error_of(Stop::deadline));
    const auto woken = co_await came_.within(std::min(left, 3600 * kSecond));
    if (woken == Wake::stopped) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
    if (woken == Wake::late && (idle_ || loop_.now() >= until_)) co_return std::unexpected(error_of(Stop::deadline));
  }
}

void Http2Attempt::head_written() {
  head_sent_ = true;
  sent_ = request_.upgrade;
  batch_ = connection_->batch_;
}

void Http2Attempt::request_written() {
  if (channel_) return channel_->end_written();
  sent_ = true;
  sending_ = piece_pending_ = false;
  drained_.happen();
}

void Http2Attempt::drained() {
  if (channel_) return channel_->drained();
  piece_pending_ = false;
  drained_.happen();
}

void Http2Attempt::head(const http::H2AnswerHead& head) {
  begun_ = true;
  if (head.status == 100) continued_.happen();
  if (head.status < 200) {
    if (head.status != 100 && request_.interim) request_.interim->interim(answer_of(head));
    return;
  }
  head_came_ = true;
  answer_ = answer_of(head);
  if (request_.upgrade && head.status < 300) answer_.status = 101;
  came_.happen();
}

void Http2Attempt::body(Bytes piece) {
  if (channel_) return channel_->came(as_text(piece));
  incoming_.append(as_text(piece));
  came_.happen();
}

void Http2Attempt::body_ended() {
  if (channel_) return channel_->came_all();
  ended_ = true;
  came_.happen();
}

void Http2Attempt::trailers(std::span<const Header> fields) {
  for (const auto& [name, value] : fields)
    if (http::may_trail(name)) trailers_.emplace_back(name, value);
}

void Http2Attempt::closed(http::H2Error why) {
  closed_ = why;
  sending_ = false;
  wants_http1_ = !begun_ && why == http::H2Error::http_1_1_required;
  unprocessed_ = !begun_ && (wants_http1_ || why == http::H2Error::refused_stream || !head_sent_);
  connection_->ended(*this);
  if (channel_ && why != http::H2Error::no_error) channel_->broke();
  came_.happen();
  drained_.happen();
  continued_.happen();
}

void Http2Attempt::lose(const std::string& why) noexcept {
  lost_ = true;
  try {
    lost_why_ = why;
  } catch (...) {  // it is lost without a reason
  }
  came_.happen();
}

/// A stream that has become a WebSocket, and its call.
class Http2Tunnel final : public net::StreamChannel {
 public:
  explicit Http2Tunnel(std::unique_ptr<Http2Attempt> attempt)
      : StreamChannel(attempt->loop_, std::move(attempt->incoming_), attempt->ended_), attempt_(std::move(attempt)) {
    attempt_->channel_ = this;
    if (attempt_->closed_.value_or(http::H2Error::no_error) != http::H2Error::no_error) broke();
  }

 private:
  void consumed(std::size_t bytes) override {
    connection().session_.consumed(*attempt_, bytes);
    connection().wake();
  }
  void supply(std::string_view bytes) override {
    connection().session_.supply(*attempt_, as_bytes(bytes), false);
    connection().wake();
  }
  void end(End) override {
    connection().session_.supply(*attempt_, {}, true);
    connection().wake();
  }
  Http2Connection& connection() const { return *attempt_->connection_; }
  const std::unique_ptr<Http2Attempt> attempt_;
};

std::unique_ptr<net::Channel> Http2Attempt::channel(std::unique_ptr<Attempt> self) {
  (void)self.release();
  return std::make_unique<Http2Tunnel>(std::unique_ptr<Http2Attempt>(this));
}

Error Http2Attempt::why_closed() const {
  using enum http::H2Error;
  const auto why = closed_.value_or(no_error);
  if (lost_) return {&net::kNetwork, lost_why_};
  const auto text = "HTTP/2: " + std::string(name_of(why));
  if (begun_) return {&kBadAnswer, "it ends in the middle (" + text + ")"};
  const bool malformed =
      why == protocol_error || why == flow_control_error || why == frame_size_error || why == stream_closed;
  if (malformed) return {&kBadAnswer, text};
  return {&net::kNetwork, text};
}

}  // namespace plimsoll::client
