#pragma once

#include "plimsoll/http/h2_guard.hpp"
#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::http {

/// The 24 bytes every HTTP/2 client begins with (RFC 9113, section 3.4).
inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum class H2Preface : std::uint8_t { no, not_yet, yes };
/// Whether a connection in clear, of which these are the first bytes, speaks HTTP/2 by prior knowledge.
H2Preface h2_preface(std::string_view first_bytes);

/// Error codes of RFC 9113, section 7.
enum class H2Error : std::uint32_t {
  no_error = 0,
  protocol_error = 1,
  internal_error = 2,
  flow_control_error = 3,
  settings_timeout = 4,
  stream_closed = 5,
  frame_size_error = 6,
  refused_stream = 7,
  cancel = 8,
  compression_error = 9,
  connect_error = 10,
  enhance_your_calm = 11,
  inadequate_security = 12,
  http_1_1_required = 13,
};

struct H2Options {
  std::uint32_t streams = 100;                  ///< open at once, told to the peer
  std::uint32_t stream_window = 64 << 10;       ///< bytes of one body that may come unasked
  std::uint32_t connection_window = 256 << 10;  ///< bytes of all bodies that may come unasked
  std::size_t header_list = 32 << 10;           ///< bytes of a head as RFC 9113, section 6.5.2 counts them
  std::size_t header_count = 100;
  std::size_t target = 8 << 10;
  bool extended_connect = false;  ///< of a server: other protocols may be asked for (RFC 8441), told to the peer
  H2Allowances allowances{};
};

/// The head of a request as it was decoded. Views are good during the call only. Cookies are one field again.
struct H2Head {
  std::string_view method, scheme, authority, path;
  std::string_view protocol{};  ///< of an extended CONNECT (RFC 8441), else empty
  std::span<const Header> fields;
  std::optional<std::uint64_t> content_length{};
  bool ended = false;                ///< there is no body
  const Problem* refusal = nullptr;  ///< well-formed, but not to be served: answer with this
};

class H2Session;
class H2ClientSession;
namespace h2 {
struct Machine;
}

/// An interim response (1xx). What it refers to stays as it is until its stream is `closed`.
struct H2Interim {
  std::uint16_t status = 100;
  std::span<const Header> fields{};
  H2Interim* next = nullptr;  ///< of the session
};

/// One request and its answer, as a session sees it: who serves requests, or makes them, derives from it and owns it
/// until `closed`. All calls come from within the session's `receive` or `gather`: note them, and act when that has
/// returned. The body that comes is the request's at a server, the answer's at a client; the other one goes.
class H2Stream {
 public:
  virtual ~H2Stream() = default;
  /// A piece of the body that comes. What is kept is copied; each byte is given back by `consumed`.
  virtual void body(Bytes piece) = 0;
  virtual void body_ended() = 0;
  /// Fields that stand behind the body, before its end is told; views are good during the call only.
  virtual void trailers(std::span<const Header>) {}
  /// The piece that was supplied is in the output: the next may be supplied.
  virtual void drained() = 0;
  /// The last call: the exchange is whole (`no_error`; a server's answer is in the output), or the stream was reset by
  /// one of the two.
  virtual void closed(H2Error why) = 0;

  /// 0 before it was opened and after it was closed.
  std::int32_t id() const { return id_; }
  /// Bytes supplied that are not in the output yet.
  std::size_t pending() const { return piece_.size(); }
  /// Bytes of content that are in the output.
  std::uint64_t sent() const { return sent_; }

 private:
  friend class H2Session;
  friend class H2ClientSession;
  friend struct h2::Machine;
  /// Where it waits to be written.
  enum class Queue : std::uint8_t { none, heads, content };
  std::int32_t id_ = 0;
  H2Stream* same_slot_ = nullptr;  ///< of the session's table
  H2Stream *queue_next_ = nullptr, *queue_previous_ = nullptr;
  Queue queue_ = Queue::none;

  // The message that comes:
  std::int64_t in_window_ = 0;  ///< bytes that may still come
  std::size_t unconsumed_ = 0;  ///< bytes that came and were not given back
  std::size_t returned_ = 0;    ///< bytes given back of which the peer was not told yet
  std::int64_t declared_ = -1;  ///< its Content-Length
  std::int64_t received_ = 0;
  bool in_begun_ = false, in_ended_ = false;

  // The message that goes:
  Bytes piece_{};
  std::span<const Header> fields_{}, more_{};  ///< until its head is written
  std::span<const Header> trailers_{};
  const FieldBlock* block_ = nullptr;
  H2Interim *interim_ = nullptr, *last_interim_ = nullptr;  ///< to be written before the head
  std::int64_t out_window_ = 0;                             ///< bytes that may still go
  std::uint64_t sent_ = 0;
  std::uint16_t status_ = 0;  ///< of an answer
  bool out_begun_ = false;    ///< its head was given
  bool go_on_ = false;        ///< `100 Continue` is to be written first
  bool head_due_ = false, content_ = false, last_ = false;
  bool tunnel_ = false;      ///< it carries another protocol: nothing but content
  bool half_ended_ = false;  ///< ours ends, and the peer's goes on all the same
  bool doomed_ = false;      ///< it is to be reset
  H2Error why_ = H2Error::no_error;
};

/// Where requests go.
class H2Requests {
 public:
  /// Answers the stream that will carry it, or null to refuse it with REFUSED_STREAM (it may be sent again elsewhere).
  virtual H2Stream* request(const H2Head& head) = 0;

 protected:
  ~H2Requests() = default;
};

/// The server's side of one HTTP/2 connection (RFC 9113), without socket or clock: bytes in, requests out; answers in,
/// bytes out. Heads that come are H2HeadReader's, those that go HpackWriter's; frames, streams and windows are here.
///
/// What is malformed never reaches `requests`: the stream is reset or the connection ended with GOAWAY, as RFC 9113
/// wants it. So are floods, by H2Guard.
class H2Session {
 public:
  H2Session(const H2Options& options, H2Requests& requests);
  ~H2Session();
  H2Session(const H2Session&) = delete;

  /// What came from the peer, preface included. False: the connection has failed; what `gather` still gives (GOAWAY)
  /// is to be sent, and then it is to be closed.
  bool receive(Bytes bytes, Nanoseconds now);

  /// `100 Continue`, before the final answer.
  void go_on(H2Stream& stream);
  /// An interim response, before the final answer.
  void inform(H2Stream& stream, H2Interim& interim);
  /// The head of the answer: `headers` without connection-specific fields (section 8.2.2) and Content-Length, then
  /// those of `block` and `more`. What they are views of stays as it is until `closed`. `content`: pieces follow by
  /// `supply`; without it the answer ends here.
  void respond(H2Stream& stream, std::uint16_t status, const Headers& headers, std::span<const Header> more,
               bool content, const FieldBlock* block = nullptr);
  /// The next piece of content, a view that stays good until `drained` or `closed`; `last`: nothing follows. Only after
  /// `respond` with content, and only when the piece before was drained.
  void supply(H2Stream& stream, Bytes piece, bool last);
  /// Fields that follow the content, before its last piece is supplied. What they are views of stays as it is until
  /// `closed`.
  void trail(H2Stream& stream, std::span<const Header> fields);
  /// Our side of a stream that carries another protocol ends, and the peer may go on sending. When nothing is
  /// `pending`.
  void finish(H2Stream& stream);
  /// The same, and what the peer sends is of no use any more.
  void end(H2Stream& stream);
  /// Ends the stream at once.
  void reset(H2Stream& stream, H2Error why);
  /// So many bytes of the request's body have been read by who serves it: the peer may send as many again.
  void consumed(H2Stream& stream, std::size_t bytes);

  /// No new requests: tells the peer by GOAWAY in two steps, so that nothing that is under way is lost (section 6.8).
  void drain();
  /// The second step, where the peer does not answer: streams not opened by now are not served.
  void drain_now();
  /// Ends the connection with GOAWAY.
  void terminate(H2Error why, std::string_view debug = {});

  /// Appends frames to `out` until it holds `limit` bytes or there is nothing to send.
  void gather(std::string& out, std::size_t limit);
  bool wants_write() const;
  /// The preface, a frame or a header block has begun to come and is not whole.
  bool partial() const;
  /// Nothing is open and nothing more will come: close.
  bool done() const;
  /// What we told the peer when we ended the connection, for the log; empty: we did not.
  std::string_view complaint() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace plimsoll::http
