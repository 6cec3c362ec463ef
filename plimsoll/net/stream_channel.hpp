#pragma once

#include "plimsoll/net/channel.hpp"

#include <string>
#include <string_view>

namespace plimsoll::net {

/// A stream of HTTP/2 that carries another protocol (RFC 8441, section 5), at either side of it: a Channel of what a
/// session gives and takes. What comes and is not read is bounded by the window of the stream; what is written and has
/// not gone by `kMost`. Idle, it holds nothing.
class StreamChannel : public Channel {
 public:
  static constexpr std::size_t kMost = 16 * 1024;

  /// `incoming`: what has come already; `ended`: and all of it.
  StreamChannel(Loop& loop, std::string incoming, bool ended);

  Moved read(std::span<char> into) noexcept final;
  Moved write(std::span<const iovec> pieces) noexcept final;
  void finish() noexcept final;
  bool pending() const noexcept final { return !out_.empty() || end_ != End::none; }
  Readiness::Wait wait(Want want, Nanoseconds within) noexcept final;

  // As the session tells it:
  void came(std::string_view piece);
  void came_all() noexcept;
  /// What was supplied is in the output.
  void drained() noexcept;
  /// So is the end.
  void end_written() noexcept;
  /// The stream was reset, or its connection is lost.
  void broke() noexcept;

  /// Nobody reads and writes any more: what was written goes out, then the stream ends, by a reset where the other side
  /// of what is passed on is `lost`.
  void close(bool lost) noexcept;

 protected:
  /// How a stream ends: this side of it, all of it, all of it by a reset.
  enum class End : std::uint8_t { none, half, whole, reset };

 private:
  /// So many bytes may come again.
  virtual void consumed(std::size_t bytes) = 0;
  /// The next bytes, which stay as they are until `drained`.
  virtual void supply(std::string_view bytes) = 0;
  /// Nothing is pending.
  virtual void end(End how) = 0;
  void end_where_due() noexcept;

  Loop& loop_;
  std::string in_, out_;
  std::size_t in_at_ = 0;
  bool in_ended_, broken_ = false, closed_ = false, end_given_ = false;
  End end_ = End::none;  ///< which is due, or on its way
  Readiness readable_, writable_;
};

}  // namespace plimsoll::net
