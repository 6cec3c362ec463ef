#pragma once

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll::net {

inline constexpr Problem kCannotListen{"cannot-listen", 500, "The server cannot listen on the address",
                                       "Choose an address of this machine and a port that is free."};

/// Who has connected.
struct Accepted {
  int socket = -1;      ///< non-blocking; the taker closes it
  std::string address;  ///< without port, IPv6 without brackets (an IPv4 client of an IPv6 socket as IPv4); `unix`
  std::uint16_t port = 0;
};

/// A listening socket. `127.0.0.1:8080`, `[::1]:0`, `:8080` (all addresses, IPv4 and IPv6), `unix:/run/x.sock`, and one
/// that was inherited by socket activation (sd_listen_fds(3)): `systemd` (the first) or `systemd:NAME`.
class Listener {
 public:
  /// `shared`: several of them, in one or more processes, listen on the same address and the system divides what comes
  /// (SO_REUSEPORT).
  static Result<Listener> open(std::string_view address, bool shared);
  /// Whether the address is written as one, without opening it.
  static Result<> check(std::string_view address);
  /// Another descriptor of the same socket.
  Result<Listener> again() const;

  /// As bound: with the port the system chose.
  const std::string& address() const { return address_; }
  /// The system does not divide what comes among several: `again` gives further threads the same socket.
  bool undivided() const { return inherited_ || address_.starts_with("unix:"); }
  int get() const { return descriptor_.get(); }
  /// No new connection comes to this socket; those whose handshake is under way still do. A client that is turned away
  /// so asks again after a second, and finds whoever else listens there: a reset would have cost it its request.
  static void turn_away(int listener);
  /// Gives the descriptor away.
  int release() { return descriptor_.release(); }

 private:
  Listener(int descriptor, std::string address) : descriptor_(descriptor), address_(std::move(address)) {}
  OwnedDescriptor descriptor_;
  std::string address_;
  bool inherited_ = false;
};

/// The file of a Unix socket we have bound: removed with this, unless another process has put its own there meanwhile.
class SocketFile {
 public:
  /// Nothing to remove where `address` is not `unix:PATH`.
  explicit SocketFile(std::string_view address);
  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&&) = delete;
  ~SocketFile();

 private:
  std::string path_;
  std::uint64_t device_ = 0, inode_ = 0;
};

/// The next connection that waits; `socket` is -1 and `error` (errno) says why when there is none.
Accepted accept(int listener, int& error);

}  // namespace plimsoll::net
