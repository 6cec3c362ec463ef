#pragma once

#include "plimsoll/async/event.hpp"
#include "plimsoll/client/attempt.hpp"
#include "plimsoll/client/pool.hpp"
#include "plimsoll/http/h2_client.hpp"
#include "plimsoll/net/stream_channel.hpp"
#include "plimsoll/net/transport.hpp"

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::client {

struct CallState;
class Http2Attempt;
class Http2Connection;
class Http2Tunnel;

/// Who keeps connections of HTTP/2.
class Http2Keeper {
 public:
  /// It has no calls any more. False: it is one too many, and is to end.
  virtual bool may_rest(const Http2Connection& connection) = 0;
  /// It takes no further calls. What it has still under way goes on.
  virtual void over(Http2Connection& connection) = 0;

 protected:
  ~Http2Keeper() = default;
};

/// One connection of HTTP/2 to another server: many calls at once. While there are calls one line of work reads, and
/// another writes where the socket is full; all that a turn has to say leaves in one write. A connection without calls
/// has no line of work: an alarm looks at it every few seconds.
class Http2Connection final : public std::enable_shared_from_this<Http2Connection> {
 public:
  /// Of one answer, what is held while its reader does not take it; of all of them the window is as large as that of
  /// all calls together, so that no slow reader stops another call.
  static constexpr std::uint32_t kStreamWindow = 128 << 10;
  static constexpr std::uint32_t kStreams = 100;

  Http2Connection(Loop& loop, std::unique_ptr<net::Transport> transport, Http2Keeper& keeper, std::string origin,
                  const IdleLimits& idle);
  ~Http2Connection();
  Http2Connection(const Http2Connection&) = delete;

  /// A further call can begin now.
  bool has_room() const noexcept { return !broken_ && session_.has_room(); }
  bool usable() const noexcept { return !broken_ && session_.usable(); }
  std::size_t calls() const noexcept { return calls_.size(); }
  /// How many calls it takes at once, as far as is known.
  std::size_t limit() const noexcept { return session_.limit(); }
  const std::string& origin() const noexcept { return origin_; }
  const IdleLimits& idle() const noexcept { return idle_; }
  /// It carried calls before: its server may have closed it meanwhile.
  bool used() const noexcept { return used_; }
  /// Reads what has come while there were no calls; false: it cannot be used any more.
  bool check();
  /// Without calls: ends it.
  void end(std::string_view why);

 private:
  friend class Http2Attempt;
  friend class Http2Tunnel;
  void begin(Http2Attempt& call, const http::H2RequestHead& head, bool content);
  /// One that waits for what comes, with a stream or before it has one.
  void join(Http2Attempt& call);
  /// It has ended, well or not, and is not looked at any more.
  void ended(Http2Attempt& call);
  /// There is something to write, once this turn has done its other work.
  void wake();
  Task<> run(std::shared_ptr<Http2Connection> self);
  Task<> read();
  bool receive(std::string_view bytes);
  void flush();
  Task<> write_rest(std::shared_ptr<Http2Connection> self);
  void lose(std::string why) noexcept;
  template <class F>
  void guarded(F work) noexcept;
  void no_calls();
  void look();
  void look_again();

  struct Flush : Deferred {
    std::shared_ptr<Http2Connection> connection;  ///< while it is deferred
  } flush_;
  struct Look : Alarm {
    Http2Connection* of = nullptr;
  } look_;

  Loop& loop_;
  std::unique_ptr<net::Transport> transport_;
  Http2Keeper& keeper_;
  const std::string origin_;
  const IdleLimits idle_;
  http::H2ClientSession session_;
  std::vector<Http2Attempt*> calls_;
  std::string rest_;  ///< what the socket did not take
  std::size_t rest_at_ = 0;
  Scope reading_scope_, writing_scope_;
  Scope* reading_ = nullptr;  ///< of the line of work that reads, while it does
  std::uint64_t batch_ = 0;   ///< numbers the writes
  bool running_ = false, writing_ = false, broken_ = false, used_ = false, told_over_ = false, settled_ = false;
  Nanoseconds heard_at_ = 0, asked_at_ = 0, idle_since_ = 0;  ///< `asked_at_`: 0, or since when a PING is unanswered
};

/// One call on a stream of a connection.
class Http2Attempt final : public Attempt, public http::H2Call {
 public:
  Http2Attempt(Loop& loop, std::shared_ptr<Http2Connection> connection);
  ~Http2Attempt() override;

  /// Whether the other side takes WebSockets by HTTP/2, once it has said so. Error: the connection is lost.
  Task<Result<bool>> connects();
  /// Sends the request and receives the head of its answer. Errors: as those of `Connection::exchange`. One that asks
  /// for a WebSocket is an extended CONNECT; an answer 2xx to it is given as 101, as HTTP/1.1 has it.
  Task<Result<>> exchange(const Outgoing& request, std::string_view scheme, CallState& state);
  /// Nothing of the request was processed: the other side says so, or it was never sent.
  bool unprocessed() const noexcept { return unprocessed_; }
  /// The other side wants this request by HTTP/1.1.
  bool wants_http1() const noexcept { return wants_http1_; }
  /// The connection was lost before anything of the answer came.
  bool lost() const noexcept { return lost_ && !begun_; }
  /// The stream that is the request's body was begun: it cannot be sent again.
  bool body_begun() const noexcept { return body_begun_; }

  Task<Result<std::string_view>> piece() override;
  void unbounded(bool idle) noexcept override {
    if (idle) idle_ = 0;
    until_ = kNever;
  }
  std::uint16_t head(Headers& fields) override;
  std::string_view short_body(std::size_t most) override;
  std::vector<std::pair<std::string, std::string>> take_trailers() override { return std::move(trailers_); }
  bool whole() const noexcept override { return ended_ && incoming_.empty() && reading_.empty() && trailers_.empty(); }
  bool written() const noexcept override { return sent_; }
  bool body_failed() const noexcept override { return body_failed_; }
  std::unique_ptr<net::Channel> channel(std::unique_ptr<Attempt> self) override;

 private:
  friend class Http2Connection;
  friend class Http2Tunnel;
  // From the session:
  void head(const http::H2AnswerHead& head) override;
  void head_written() override;
  void body(Bytes piece) override;
  void body_ended() override;
  void trailers(std::span<const Header> fields) override;
  void drained() override;
  void request_written() override;
  void closed(http::H2Error why) override;

  void lose(const std::string& why) noexcept;
  Task<Result<>> send();
  Task<Result<>> send_rest();
  void trail();
  Task<Result<>> taken();
  Task<> keep_sending();
  Task<> watch_head();
  Task<Result<>> receive_head(Nanoseconds until);
  Task<Result<std::string_view>> next_piece();
  Error why_closed() const;

  Loop& loop_;
  const std::shared_ptr<Http2Connection> connection_;
  std::vector<Header> fields_;
  std::string length_;
  std::array<Header, 4> more_{};
  Outgoing request_{};
  std::uint64_t left_ = 0;  ///< of the request's body, where its length is known
  bool piece_pending_ = false;

  Answer answer_;
  std::vector<std::pair<std::string, std::string>> trailers_;
  std::uint64_t batch_ = 0;         ///< the write with which the head of the request went
  std::string incoming_, reading_;  ///< bytes of the answer's body: come, and given to who reads
  std::string whole_body_;          ///< given by `short_body`
  Event came_, drained_, continued_, never_;
  std::optional<Result<>> head_result_;
  std::optional<http::H2Error> closed_;
  net::StreamChannel* channel_ = nullptr;  ///< once it is used as one
  std::string lost_why_;
  Nanoseconds idle_ = 0, until_ = kNever;
  bool head_sent_ = false, head_came_ = false, begun_ = false, ended_ = false;
  bool sent_ = false, sending_ = false, body_begun_ = false, body_failed_ = false;
  bool unprocessed_ = false, wants_http1_ = false, lost_ = false;
};

}  // namespace plimsoll::client
