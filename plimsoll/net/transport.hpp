#pragma once

#include "plimsoll/async/descriptor.hpp"
#include "plimsoll/base/result.hpp"
#include "plimsoll/base/task.hpp"
#include "plimsoll/net/channel.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace plimsoll::net {

inline constexpr Problem kNetwork{"network", 502, "Network error", "", true, true};

/// A stream of bytes over a descriptor, in clear or TLS. No call waits: who has to, waits at `descriptor()`.
///
///     auto moved = transport.read(into);
///     while (moved.want != Want::nothing) { Wake woken = co_await transport.wait(moved.want, within); …; }
class Transport : public Channel {
 public:
  explicit Transport(Loop& loop, int descriptor) : descriptor_(loop, descriptor) {}

  /// Bytes of a file; in clear without passing through this process.
  virtual Moved send_file(int file, std::uint64_t offset, std::size_t size) noexcept = 0;
  /// The close that follows is a reset: what has not been taken is thrown away, here and in the system's buffers.
  void abort() noexcept;
  /// Bytes written that the other end's system has not yet taken.
  std::uint64_t unsent() const noexcept;
  /// Bytes that `read` can give without the descriptor becoming readable again.
  virtual bool buffered() const noexcept { return false; }

  /// Before anything else is done (the handshake of TLS), within that time.
  virtual Task<Result<>> open(Nanoseconds within) = 0;
  /// What was agreed by ALPN: `h2`, `http/1.1`, or empty.
  virtual std::string_view protocol() const noexcept { return {}; }
  virtual bool secure() const noexcept { return false; }
  /// Of a verified client certificate (RFC 4514), else empty.
  virtual std::string_view certificate_subject() const noexcept { return {}; }
  /// What binds an authentication to this connection: the hash of the server's certificate (RFC 5929, section 4,
  /// `tls-server-end-point`). Empty: in clear, or not defined for that certificate.
  virtual std::string server_end_point() const { return {}; }

  Descriptor& descriptor() noexcept { return descriptor_; }
  Readiness::Wait wait(Want want, Nanoseconds within) noexcept final {
    return want == Want::write ? descriptor_.writable(within) : descriptor_.readable(within);
  }

 protected:
  Descriptor descriptor_;
};

/// In clear, over a connected non-blocking socket, which it owns, made or not.
std::unique_ptr<Transport> clear_transport(Loop& loop, int socket);

}  // namespace plimsoll::net
