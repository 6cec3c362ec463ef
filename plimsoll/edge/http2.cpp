#include "plimsoll/edge/http2_exchange.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace plimsoll::edge {
namespace {

using net::Want;

/// What is gathered for one write.
constexpr std::size_t kWrite = 64 * 1024;
/// Writes of one connection in one turn, before the others have theirs.
constexpr int kWritesATurn = 4;
/// How often streams are judged by their pace.
constexpr auto kJudgement = kSecond;
/// How long the answer to the first GOAWAY may take.
constexpr auto kGrace = kSecond;
constexpr auto kLinger = 2 * kSecond;
constexpr std::size_t kLingered = 256 * 1024;
/// Streams a connection may always have. What it opens beyond them is taken from what all connections of the thread
/// share, so that a few greedy ones cannot use up the memory of all.
constexpr std::size_t kOwnStreams = 4;
constexpr std::size_t kSharedStreams = 1000;

thread_local std::size_t shared_streams = 0;
/// Bytes read are dealt with before the next connection reads: one buffer serves a thread.
thread_local std::array<char, 64 * 1024> arrived;

http::H2Options options(const Limits& limits, bool websockets) {
  const auto allowance = [](const config::Rate& rate) { return http::H2Allowance{rate.limit, rate.per.nanoseconds}; };
  return {.streams = static_cast<std::uint32_t>(limits.http2_streams),
          .stream_window = static_cast<std::uint32_t>(limits.http2_stream_window.bytes),
          .connection_window = static_cast<std::uint32_t>(limits.http2_connection_window.bytes),
          .header_list = limits.head.bytes,
          .header_count = static_cast<std::size_t>(limits.header_count),
          .target = limits.target.bytes,
          .extended_connect = websockets,
          .allowances = {.resets = allowance(limits.http2_resets),
                         .settings = allowance(limits.http2_settings),
                         .pings = allowance(limits.http2_pings),
                         .window_updates = allowance(limits.http2_window_updates),
                         .empty_data = allowance(limits.http2_empty_data),
                         .others = allowance(limits.http2_other_frames),
                         .continuations = limits.http2_continuations,
                         .header_block = static_cast<std::int64_t>(limits.http2_header_block.bytes)}};
}

/// HTTP/2 on one connection. One line of work reads; a second writes where the socket is full; each stream has its own.
/// All that a turn has to say leaves in one write.
class Http2 final : public Protocol, public Http2Connection, public http::H2Requests {
 public:
  explicit Http2(Connection& connection)
      : Http2Connection(connection),
        worker_(connection.worker),
        limits_(connection.worker.shared.limits),
        response_pace_(*connection.transport, limits_.response_rate.bytes),
        all_ended_(worker_.loop),
        flush_ended_(worker_.loop) {
    session_ = std::make_unique<http::H2Session>(options(limits_, worker_.in_force.offers_websockets()), *this);
    flush_.http2 = this;
    flush_.run = [](Deferred& deferred) { static_cast<Flush&>(deferred).http2->flush_deferred(); };
    grace_.http2 = judge_.http2 = this;
    grace_.ring = [](Alarm& alarm) { static_cast<Ringing&>(alarm).http2->grace_ended(); };
    judge_.ring = [](Alarm& alarm) { static_cast<Ringing&>(alarm).http2->judge(); };
  }

  Task<> run() override;
  void drain() override;

  http::H2Stream* request(const http::H2Head& head) override;
  void wake() override {
    if (!flush_.deferred() && !working_) worker_.loop.defer(flush_);
  }
  void changed(Http2Exchange& exchange) override { shared_streams -= std::exchange(exchange.extra, false); }
  void ended(Http2Exchange& exchange) override;

 private:
  Task<> serve();
  bool receive(std::string_view bytes);
  Nanoseconds patience() const;
  void begin_streams();
  void end_streams();
  void flush();
  void flush_deferred();
  template <class F>
  void guarded(F work) noexcept;
  Line write_rest();
  void judge();
  void grace_ended();
  void remove(Http2Exchange& exchange);
  bool over() const { return broken_ || (!writing_ && rest_.empty() && session_->done()); }
  Task<> linger();

  struct Flush : Deferred {
    Http2* http2;
  } flush_;
  struct Ringing : Alarm {
    Http2* http2;
  } grace_, judge_;

  Worker& worker_;
  const Limits& limits_;
  std::vector<Http2Exchange*> begun_;  ///< heads that came in this turn
  Http2Exchange* first_ = nullptr;     ///< alive: of open streams, and of those whose line of work goes on
  std::size_t alive_ = 0, lines_ = 0;
  Nanoseconds idle_since_ = 0, partial_since_ = 0;
  std::string rest_;  ///< what the socket did not take
  std::size_t rest_at_ = 0;
  ResponsePace response_pace_;
  Scope reading_, writing_scope_;
  bool working_ = false;  ///< within receive or flush: what is to be written will be
  bool writing_ = false;  ///< the second line of work waits for the socket
  bool broken_ = false, draining_ = false, ending_ = false;
  Event all_ended_, flush_ended_;
};

Task<> Http2::run() {
  idle_since_ = worker_.loop.now();
  try {
    co_await in(reading_, serve());
  } catch (...) {  // no memory: what it has begun is ended in order
    broken_ = true;
    working_ = false;
  }
  // Whoever still works for this connection is told, and waited for: what they refer to is here.
  ending_ = true;
  judge_.disarm();
  for (auto* exchange = first_; exchange; exchange = exchange->next) {
    exchange->stop(connection_.scope.stopped() == Stop::drain ? Stop::drain : Stop::client_gone);
    exchange->closed(http::H2Error::cancel);
  }
  for (auto* exchange : begun_) exchange->skipped();
  begun_.clear();
  // The last word may still be on its way.
  worker_.loop.wheel().arm(grace_, worker_.loop.tick_in(kLinger));
  // Some go on without their client, until the process ends.
  struct PassOn final : Waiting {
    explicit PassOn(Http2& of) : of(of) {}
    void stop(Stop why) noexcept override {
      for (auto* exchange = of.first_; exchange; exchange = exchange->next) exchange->stop(why);
    }
    Http2& of;
  } pass_on{*this};
  connection_.scope.wait_at(pass_on);
  while (lines_ > 0 || writing_) co_await all_ended_.regardless();
  connection_.scope.go_on();
  while (flush_.deferred()) co_await flush_ended_.regardless();
  grace_.disarm();
  end_streams();
  if (!broken_) co_await linger();
}

/// Reads and writes until the connection is over, or cannot go on.
Task<> Http2::serve() {
  auto& transport = *connection_.transport;
  if (connection_.inbox) {  // what was read to find out which protocol it is
    const auto first = connection_.inbox->unread();
    const bool good = receive(first);
    connection_.inbox->used(first.size());
    worker_.give_inbox(std::move(connection_.inbox));
    connection_.inbox.reset();
    if (!good) {
      flush();
      co_return;
    }
  }
  flush();
  while (!over()) {
    const auto moved = transport.read(arrived);
    if (moved.bytes) {
      const bool good = receive({arrived.data(), moved.bytes});
      flush();
      if (!good) co_return;
      continue;
    }
    if (moved.ended || moved.failed()) {
      broken_ = true;
      co_return;
    }
    const auto span = patience();
    const auto woken = span > 0 ? co_await transport.wait(moved.want, span) : Wake::late;
    if (woken == Wake::ready) continue;
    if (woken == Wake::late && patience() > 0) continue;
    if (woken == Wake::late && alive_ > 0) {  // its lifetime is over: what is open may end
      drain();
      continue;
    }
    if (woken == Wake::late || reading_.stopped() == Stop::drain) {
      session_->terminate(http::H2Error::no_error, woken == Wake::stopped ? "going down" : "idle");
      flush();
    }
    co_return;
  }
}

/// How long the next bytes may take to come. Zero or less: the connection is to end, or to be drained.
Nanoseconds Http2::patience() const {
  constexpr Nanoseconds kLong = 3600 * kSecond;
  const auto now = worker_.loop.now();
  if (alive_ == 0 && partial_since_) return partial_since_ + limits_.head_time.nanoseconds - now;
  if (alive_ == 0) return idle_since_ + (connection_.requests ? limits_.idle : limits_.first_byte).nanoseconds - now;
  if (draining_) return kLong;
  return std::max<Nanoseconds>(connection_.accepted + limits_.lifetime.nanoseconds - now, 0);
}

bool Http2::receive(std::string_view bytes) {
  working_ = true;
  const bool good = session_->receive(as_bytes(bytes), worker_.loop.now());
  if (!session_->partial())
    partial_since_ = 0;
  else if (!partial_since_)
    partial_since_ = worker_.loop.now();
  begin_streams();
  end_streams();
  working_ = false;
  return good;
}

http::H2Stream* Http2::request(const http::H2Head& head) {
  // Lines of work that outlive their stream count as well, or resets would buy more than the limit.
  if (ending_ || alive_ >= static_cast<std::size_t>(limits_.http2_streams)) return nullptr;
  const bool extra = alive_ >= kOwnStreams;
  if (extra && shared_streams >= kSharedStreams) return nullptr;
  auto arena = worker_.arenas.take();
  auto* in = arena.get();
  auto& exchange = in->make<Http2Exchange>(*this, std::move(arena), head);
  exchange.extra = extra;
  shared_streams += extra;
  exchange.next = first_;
  if (first_) first_->previous = &exchange;
  first_ = &exchange;
  if (++alive_ == 1) worker_.loop.wheel().arm(judge_, worker_.loop.tick_in(kJudgement));
  ++connection_.requests;
  begun_.push_back(&exchange);
  return &exchange;
}

void Http2::begin_streams() {
  if (begun_.empty()) return;
  // In the order in which they came; what is taken out has begun, should there be no memory for the next.
  std::ranges::reverse(begun_);
  while (!begun_.empty()) {
    auto* exchange = begun_.back();
    if (!exchange->skipped()) {
      ++lines_;
      try {
        exchange->begin();
      } catch (...) {
        --lines_;
        throw;
      }
    }
    begun_.pop_back();
  }
  const bool old = worker_.loop.now() - connection_.accepted > limits_.lifetime.nanoseconds;
  if (old || connection_.requests >= static_cast<std::uint64_t>(limits_.requests_per_connection)) drain();
}

void Http2::ended(Http2Exchange&) {
  --lines_;
  wake();  // which also looks for what is over
  if (ending_) all_ended_.happen();
}

/// Gives back what is over.
void Http2::end_streams() {
  for (auto* exchange = first_; exchange;) {
    auto* next = exchange->next;
    if (exchange->over()) remove(*exchange);
    exchange = next;
  }
}

void Http2::remove(Http2Exchange& exchange) {
  if (exchange.next) exchange.next->previous = exchange.previous;
  (exchange.previous ? exchange.previous->next : first_) = exchange.next;
  shared_streams -= exchange.extra;
  if (--alive_ == 0) {
    idle_since_ = worker_.loop.now();
    judge_.disarm();
  }
  exchange.release();
}

/// Writes what there is to write, all of a turn at once.
void Http2::flush() {
  thread_local std::string out;
  auto& transport = *connection_.transport;
  working_ = true;
  for (int writes = 0; !writing_ && !broken_; ++writes) {
    out.clear();
    session_->gather(out, kWrite);
    end_streams();
    if (out.empty()) break;
    const iovec piece{out.data(), out.size()};
    const auto moved = transport.write({&piece, 1});
    if (moved.failed()) {
      broken_ = true;
    } else if (moved.bytes < out.size()) {
      rest_.assign(out, moved.bytes);
      rest_at_ = 0;
      writing_ = true;
      auto line = write_rest().handle;
      line.promise().scope = &writing_scope_;
      line.resume();
    } else if (writes == kWritesATurn) {
      worker_.loop.defer(flush_);
      break;
    }
  }
  working_ = false;
  if (over()) reading_.stop(Stop::lost_race);
}

void Http2::flush_deferred() {
  if (ending_) return flush_ended_.happen();
  guarded([this] {
    end_streams();
    flush();
  });
}

/// By the loop, which must not meet an exception: the connection ends instead.
template <class F>
void Http2::guarded(F work) noexcept {
  try {
    work();
  } catch (...) {
    broken_ = true;
    working_ = false;
    reading_.stop(Stop::client_gone);
  }
}

/// The socket is full: waits for it, then goes on where it stopped.
Line Http2::write_rest() {
  auto& transport = *connection_.transport;
  while (!broken_ && rest_at_ < rest_.size()) {
    const iovec piece{rest_.data() + rest_at_, rest_.size() - rest_at_};
    const auto moved = transport.write({&piece, 1});
    if (moved.failed()) broken_ = true;
    rest_at_ += moved.bytes;
    response_pace_.wrote(moved.bytes);
    if (moved.want == Want::nothing) continue;
    const auto since = worker_.loop.now();
    const auto woken = co_await transport.wait(moved.want, response_pace_.patience());
    const bool fast = response_pace_.waited(worker_.loop.now() - since);
    if (woken == Wake::stopped || !fast) broken_ = true;
  }
  rest_ = {};
  rest_at_ = 0;
  writing_ = false;
  if (ending_)
    all_ended_.happen();
  else if (broken_)
    reading_.stop(Stop::client_gone);
  else
    wake();
}

void Http2::drain() {
  if (connection_.draining())
    for (auto* exchange = first_; exchange; exchange = exchange->next) exchange->drain();
  if (draining_ || ending_) return;
  draining_ = true;
  session_->drain();
  worker_.loop.wheel().arm(grace_, worker_.loop.tick_in(kGrace));
  wake();
}

void Http2::grace_ended() {
  if (ending_) return writing_scope_.stop(Stop::client_gone);
  guarded([this] {
    session_->drain_now();
    wake();
  });
}

void Http2::judge() {
  guarded([this] {
    for (auto* exchange = first_; exchange; exchange = exchange->next) exchange->judge(kJudgement);
  });
  if (alive_ > 0) worker_.loop.wheel().arm(judge_, worker_.loop.tick_in(kJudgement));
}

/// The client must be able to read the last word: a socket closed while its bytes lie unread is reset. So this side
/// ends first, and reads on for a while.
Task<> Http2::linger() {
  auto& transport = *connection_.transport;
  transport.finish();
  const auto until = worker_.loop.now() + kLinger;
  for (std::size_t thrown = 0; thrown < kLingered;) {
    const auto moved = transport.read(arrived);
    thrown += moved.bytes;
    if (moved.ended || moved.failed()) break;
    if (moved.want == Want::nothing) continue;
    const auto left = until - worker_.loop.now();
    const auto woken = left > 0 ? co_await transport.wait(moved.want, left) : Wake::late;
    if (woken != Wake::ready) break;
  }
}

}  // namespace

std::unique_ptr<Protocol> http2(Connection& connection) { return std::make_unique<Http2>(connection); }

}  // namespace plimsoll::edge
