#pragma once

#include "plimsoll/async/event.hpp"
#include "plimsoll/edge/connection.hpp"
#include "plimsoll/edge/response_pace.hpp"
#include "plimsoll/exchange/upgrade.hpp"
#include "plimsoll/http/h2.hpp"

#include <memory>
#include <string>

namespace plimsoll::edge {

class Http2Channel;
class Http2Exchange;

/// What an exchange needs of its connection.
class Http2Connection {
 public:
  /// There is something to write, once this turn has done its other work.
  virtual void wake() = 0;
  /// It goes on as another protocol, and takes no room of requests.
  virtual void changed(Http2Exchange& exchange) = 0;
  /// Its line of work has ended.
  virtual void ended(Http2Exchange& exchange) = 0;
  http::H2Session& session() { return *session_; }
  Connection& connection() { return connection_; }

 protected:
  explicit Http2Connection(Connection& connection) : connection_(connection) {}
  ~Http2Connection() = default;
  Connection& connection_;
  std::unique_ptr<http::H2Session> session_;
};

/// One stream of HTTP/2: its request with a body that comes piece by piece, its line of work, its answer. Lives in the
/// arena of its exchange.
class Http2Exchange final : public http::H2Stream, public Stream, public InterimResponses {
 public:
  Http2Exchange(Http2Connection& http2, std::unique_ptr<Arena> arena, const http::H2Head& head);

  /// Begins to serve the request; the answer goes to the session.
  void begin();
  /// The stream was reset in the very turn it came: nobody begins to work on it.
  bool skipped();
  Task<Result<Bytes>> read() override;
  void inform(std::uint16_t status, std::span<const Header> fields) override;

  // From the session, while it works on bytes:
  void body(Bytes piece) override;
  void body_ended() override;
  void trailers(std::span<const Header> fields) override;
  void drained() override;
  void closed(http::H2Error why) override;

  /// The client has gone, or the server must end.
  void stop(Stop why);
  /// The server goes down.
  void drain() {
    if (upgrade_) upgrade_->drain();
  }
  /// Judges once in a while whether the client gives and takes fast enough; false: it does not, and the stream was
  /// reset.
  void judge(Nanoseconds span);
  /// Neither line of work nor stream is left.
  bool over() const { return line_ended_ && closed_; }
  /// Tells the service, and gives the memory back. The exchange is gone then.
  void release();

  Http2Exchange *next = nullptr, *previous = nullptr;  ///< of the connection
  bool extra = false;                                  ///< counted against what streams of a thread share

 private:
  void fill(Request& request, const http::H2Head& head);
  Line run();
  Task<> answer(Response& response);
  Task<> change_protocol(const Response& response, Upgrade& to);
  struct LateHead;
  Task<> send_stream(Stream& stream, std::optional<std::uint64_t> size, LateHead& head);
  Task<> answer_failed(const Error& error);
  Task<> send_file(const File& file);
  Task<bool> send(Bytes piece, bool last);
  std::span<const Header> kept(std::span<const Header> fields);
  Task<Response> respond();

  Http2Connection& http2_;
  std::unique_ptr<Arena> arena_;
  Exchange& exchange_;
  const Problem* refusal_;

  std::string incoming_, reading_;  ///< bytes of the body: come, and given to who reads
  std::uint64_t body_read_ = 0;
  bool body_ended_ = false, too_slow_ = false, continue_due_ = false;
  Event came_;

  Http2Channel* channel_ = nullptr;  ///< once it goes on as another protocol
  Upgrade* upgrade_ = nullptr;       ///< while it does

  Event drained_;
  std::uint64_t judged_ = 0;  ///< bytes of the answer that had gone at the last judgement
  bool closed_ = false, line_ended_ = false, answered_ = false, served_ = false;
  http::H2Error why_closed_ = http::H2Error::no_error;
  Pace in_pace_, out_pace_;
};

}  // namespace plimsoll::edge
