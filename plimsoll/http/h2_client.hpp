#pragma once

#include "plimsoll/http/h2.hpp"
#include "plimsoll/http/h2_answer.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::http {

/// The head of a request that is sent. Views are good until `head_written` or `closed`.
struct H2RequestHead {
  std::string_view method, scheme, authority, path;
  std::string_view protocol{};  ///< of an extended CONNECT (RFC 8441); content passes both ways then. Else empty
  /// Names in any case; what belongs to one connection, lengths included, is left out.
  std::span<const Header> fields{};
  /// Behind those, as they are, in lower case: a length.
  std::span<const Header> more{};
};

/// One request and its answer, as the client's session sees it.
class H2Call : public H2Stream {
 public:
  /// The head of the answer; before it perhaps some of interim answers, with a status below 200.
  virtual void head(const H2AnswerHead& head) = 0;
  /// The head of the request is in the output: from here on the other side may have seen it.
  virtual void head_written() {}
  /// So is the rest of it.
  virtual void request_written() {}

 private:
  friend class H2ClientSession;
  H2RequestHead request_;
  bool without_body_ = false;  ///< the answer's head may say a length, and nothing follows (HEAD)
  std::uint32_t interim_ = 0;  ///< answers that came before the final one
};

/// The client's side of one HTTP/2 connection (RFC 9113), without socket or clock: requests in, bytes out; bytes in,
/// answers out. Frames, windows and floods are treated as H2Session does.
///
/// A call that ends with `refused_stream` was not processed by the other side, whatever its method: the other side said
/// so (RST_STREAM or GOAWAY, section 8.7), or it was never sent.
class H2ClientSession {
 public:
  /// Of `options`, `streams` is the most calls at once, whatever the other side permits; `target` is not used.
  explicit H2ClientSession(const H2Options& options);
  ~H2ClientSession();
  H2ClientSession(const H2ClientSession&) = delete;

  /// What came from the peer. False: the connection has failed; what `gather` still gives (GOAWAY) is to be sent, and
  /// then it is to be closed.
  bool receive(Bytes bytes, Nanoseconds now);

  /// A further call can begin now.
  bool has_room() const { return usable() && open() < limit(); }
  /// It takes calls as such, now or when others have ended: neither side has said goodbye.
  bool usable() const;
  /// Calls under way.
  std::size_t open() const;
  /// How many may be, by what both sides say.
  std::size_t limit() const;
  /// The first settings of the other side have come.
  bool settled() const;
  /// Which say that it takes an extended CONNECT.
  bool connects() const;

  /// Begins a call; only where there `has_room`. `content`: pieces follow by `supply`.
  void request(H2Call& call, const H2RequestHead& head, bool content);
  /// The next piece of the request's body, a view that stays good until `drained` or `closed`; `last`: nothing follows.
  void supply(H2Call& call, Bytes piece, bool last);
  /// Fields that follow the content, before its last piece is supplied. What they are views of stays as it is until
  /// `closed`.
  void trail(H2Call& call, std::span<const Header> fields);
  /// Ends the call at once, with RST_STREAM where the other side knows of it. `closed` is called.
  void abandon(H2Call& call, H2Error why);
  /// The connection is lost: ends the call without a word to the other side, and without memory. `closed` is called.
  void forget(H2Call& call) noexcept;
  /// So many bytes of the answer's body have been read: the peer may send as many again.
  void consumed(H2Call& call, std::size_t bytes);

  /// Asks the other side for a sign of life; its answer is counted by `pongs`.
  void ping();
  std::uint64_t pongs() const;
  /// Ends the connection with GOAWAY.
  void terminate(H2Error why, std::string_view debug = {});

  /// Appends frames to `out` until it holds `limit` bytes or there is nothing to send.
  void gather(std::string& out, std::size_t limit);
  bool wants_write() const;
  /// Why it has failed, in words, or what the other side said when it left; empty: neither.
  std::string_view complaint() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace plimsoll::http
