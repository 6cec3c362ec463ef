#pragma once

#include "plimsoll/async/readiness.hpp"

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace plimsoll::net {

/// What must happen before a call is worth making again.
enum class Want : std::uint8_t { nothing, read, write };

/// What a call that never waits has done.
struct Moved {
  std::size_t bytes = 0;
  Want want = Want::nothing;  ///< not `nothing`: no byte moved; wait for this, then call again
  bool ended = false;         ///< of a read: the other end has said that it sends no more
  int error = 0;              ///< errno; the connection is broken (TLS: EPROTO for a fault of the protocol)

  bool failed() const { return error != 0; }
};

/// A stream of bytes both ways: a connection (net/transport.hpp), or one stream of HTTP/2 that carries another protocol
/// (RFC 8441). No call waits but `wait`.
class Channel {
 public:
  virtual ~Channel() = default;
  virtual Moved read(std::span<char> into) noexcept = 0;
  virtual Moved write(std::span<const iovec> pieces) noexcept = 0;
  /// Nothing more will be written: the other end reads an end. Reading goes on.
  virtual void finish() noexcept = 0;
  /// Something that was written, or the end, would be lost where this is destroyed now: wait to write.
  virtual bool pending() const noexcept { return false; }
  /// `Wake woken = co_await channel.wait(moved.want, within);`
  virtual Readiness::Wait wait(Want want, Nanoseconds within) noexcept = 0;
};

}  // namespace plimsoll::net
