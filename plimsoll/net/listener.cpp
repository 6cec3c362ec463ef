#include "plimsoll/net/listener.hpp"

#include "plimsoll/base/owned_descriptor.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

namespace plimsoll::net {
namespace {

std::unexpected<Error> cannot(std::string_view address, std::string_view why) {
  return fail(kCannotListen, std::string(address) + ": " + std::string(why));
}
/// Of the system, where it may be otherwise a little later: another process lets the port go, an interface gets its
/// address, descriptors are given back.
std::unexpected<Error> cannot(std::string_view address, int error) {
  auto failure = cannot(address, std::string_view(std::strerror(error)));
  for (const int passing : {EADDRINUSE, EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM})
    failure.error().retryable |= error == passing;
  return failure;
}

/// Address without port, and port, of what the system gave.
std::pair<std::string, std::uint16_t> name_of(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN];
  if (from.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(from);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return {text, ntohs(v4.sin_port)};
  }
  if (from.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
      ::inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, text, sizeof text);
    else
      ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return {text, ntohs(v6.sin6_port)};
  }
  return {"unix", 0};
}

Result<int> listen_on(const sockaddr* to, socklen_t size, std::string_view address, bool shared, bool dual) {
  OwnedDescriptor socket{::socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket) return cannot(address, errno);
  const int on = 1, off = 0;
  if (to->sa_family != AF_UNIX) {
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    // Inherited by what is accepted: no answer waits for another segment, and no connection pays a call for it.
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  if (to->sa_family == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, dual ? &off : &on, sizeof on);
  if (::bind(socket.get(), to, size) != 0) return cannot(address, errno);
  if (::listen(socket.get(), 4096) != 0) return cannot(address, errno);
  return socket.release();
}

Result<int> listen_unix(std::string_view address) {
  const auto path = address.substr(5);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof to.sun_path) return cannot(address, "the path is empty or too long");
  path.copy(to.sun_path, path.size());
  // A socket that nobody answers is left over from a process that has died; any other file is not ours to remove.
  struct stat there{};
  if (::stat(to.sun_path, &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return cannot(address, "a file that is no socket is in the way");
    const OwnedDescriptor probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (probe && ::connect(probe.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
      auto taken = cannot(address, "another process listens there");
      taken.error().retryable = true;
      return taken;
    }
    ::unlink(to.sun_path);
  }
  return listen_on(reinterpret_cast<sockaddr*>(&to), sizeof to, address, false, false);
}

/// The descriptor that the service manager has left for us (sd_listen_fds(3)).
Result<int> inherited(std::string_view address) {
  constexpr int kFirst = 3;
  const auto number = [](const char* name) {
    const char* text = std::getenv(name);
    return text ? std::atoi(text) : 0;
  };
  const int count = number("LISTEN_FDS");
  if (number("LISTEN_PID") != ::getpid() || count < 1) return cannot(address, "no socket was inherited (LISTEN_FDS)");
  if (address == "systemd") return kFirst;
  const auto wanted = address.substr(std::string_view("systemd:").size());
  const char* names = std::getenv("LISTEN_FDNAMES");
  std::string_view rest = names ? names : "";
  for (int i = 0; i < count; ++i) {
    const auto end = std::min(rest.find(':'), rest.size());
    if (rest.substr(0, end) == wanted) return kFirst + i;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return cannot(address, "no inherited socket has that name (LISTEN_FDNAMES)");
}

std::string address_of(int socket) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size);
  if (bound.ss_family == AF_UNIX) return "unix:" + std::string(reinterpret_cast<sockaddr_un&>(bound).sun_path);
  auto [name, port] = name_of(bound);
  if (name.find(':') != name.npos) name = "[" + name + "]";
  return name + ":" + std::to_string(port);
}

}  // namespace

Result<> Listener::check(std::string_view address) {
  if (address == "systemd" || address.starts_with("systemd:") || address.starts_with("unix:")) return {};
  const auto colon = address.rfind(':');
  if (colon == address.npos) return cannot(address, "write ADDRESS:PORT, [IPv6]:PORT or unix:PATH");
  const auto port = address.substr(colon + 1);
  std::uint16_t number = 0;
  if (auto [end, code] = std::from_chars(port.data(), port.data() + port.size(), number);
      code != std::errc{} || end != port.data() + port.size())
    return cannot(address, "the port is not a number from 0 to 65535");
  return {};
}

Result<Listener> Listener::open(std::string_view address, bool shared) {
  if (auto written = check(address); !written) return std::unexpected(std::move(written).error());
  if (address == "systemd" || address.starts_with("systemd:")) {
    auto socket = inherited(address);
    if (!socket) return std::unexpected(std::move(socket).error());
    const int copy = ::fcntl(*socket, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return cannot(address, errno);
    ::fcntl(copy, F_SETFL, ::fcntl(copy, F_GETFL) | O_NONBLOCK);
    Listener listener{copy, address_of(copy)};
    listener.inherited_ = true;
    return listener;
  }
  if (address.starts_with("unix:")) {
    auto socket = listen_unix(address);
    if (!socket) return std::unexpected(std::move(socket).error());
    return Listener{*socket, std::string(address)};
  }
  const auto colon = address.rfind(':');
  auto host = std::string(address.substr(0, colon));
  const auto port = address.substr(colon + 1);
  std::uint16_t number = 0;
  std::from_chars(port.data(), port.data() + port.size(), number);
  const bool dual = host.empty() || host == "*";
  if (dual) host = "::";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), std::string(port).c_str(), &hints, &found); code != 0)
    return cannot(address, ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner{found, &::freeaddrinfo};
  auto socket = listen_on(found->ai_addr, found->ai_addrlen, address, shared, dual);
  if (!socket && dual) {  // a machine without IPv6
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(number);
    socket = listen_on(reinterpret_cast<sockaddr*>(&any), sizeof any, address, shared, false);
  }
  if (!socket) return std::unexpected(std::move(socket).error());
  return Listener{*socket, address_of(*socket)};
}

Result<Listener> Listener::again() const {
  const int copy = ::fcntl(descriptor_.get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return cannot(address_, errno);
  Listener listener{copy, address_};
  listener.inherited_ = inherited_;
  return listener;
}

void Listener::turn_away(int listener) {
  // Drops segments with SYN and without ACK (byte 13 of the TCP header), takes all others (socket(7),
  // SO_ATTACH_FILTER).
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),          BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  };
  const sock_fprog filter{.len = std::size(program), .filter = program};
  ::setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

SocketFile::SocketFile(std::string_view address) {
  if (!address.starts_with("unix:")) return;
  struct stat bound{};
  const std::string path(address.substr(5));
  if (::stat(path.c_str(), &bound) != 0) return;
  path_ = path;
  device_ = bound.st_dev;
  inode_ = bound.st_ino;
}
SocketFile::SocketFile(SocketFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), device_(other.device_), inode_(other.inode_) {}
SocketFile::~SocketFile() {
  struct stat there{};
  if (path_.empty() || ::stat(path_.c_str(), &there) != 0) return;
  if (there.st_dev == device_ && there.st_ino == inode_) ::unlink(path_.c_str());
}

Accepted accept(int listener, int& error) {
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  const int socket = ::accept4(listener, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (socket < 0) {
    error = errno;
    return {};
  }
  error = 0;
  try {
    auto [address, port] = name_of(from);
    return {socket, std::move(address), port};
  } catch (const std::bad_alloc&) {
    ::close(socket);
    error = ENOMEM;
    return {};
  }
}

}  // namespace plimsoll::net
