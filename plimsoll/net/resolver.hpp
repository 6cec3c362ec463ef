#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/result.hpp"
#include "plimsoll/base/task.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {
class Loop;
}

namespace plimsoll::net {

inline constexpr Problem kNameNotResolved{"name-not-resolved",
                                          502,
                                          "The host name cannot be resolved",
                                          "Correct the name, or check the resolver of this machine.",
                                          true,
                                          true};

/// An IPv4 or IPv6 address, without a port.
class Address {
 public:
  static Address v4(const in_addr& address);
  static Address v6(const in6_addr& address, std::uint32_t scope = 0);
  /// A literal address (IPv6 without brackets); nothing when `text` is a name.
  static std::optional<Address> parse(std::string_view text);

  int family() const noexcept { return family_; }
  /// Writes the address and `port` as connect(2) takes them; gives the size.
  socklen_t write(std::uint16_t port, sockaddr_storage& out) const noexcept;
  std::string text() const;
  friend bool operator==(const Address&, const Address&) = default;

 private:
  int family_ = AF_UNSPEC;
  std::uint32_t scope_ = 0;
  std::array<unsigned char, 16> bytes_{};
};
using Addresses = std::vector<Address>;

/// Whether a host of a URL is this machine: a loopback address, or `localhost` (RFC 6761, section 6.3).
bool is_loopback(std::string_view host);

/// Finds the addresses of a name, best first (RFC 6724).
class Resolver {
 public:
  virtual ~Resolver() = default;
  /// Literal addresses and `localhost` (RFC 6761, section 6.3) need no lookup. A caller that is told to stop leaves at
  /// once; the lookup goes on without it. Error: `name-not-resolved`.
  Task<Result<Addresses>> resolve(Loop& loop, std::string host);

 protected:
  /// `host`: a name in lower case.
  virtual Task<Result<Addresses>> look_up(Loop& loop, std::string host) = 0;
};

struct ResolverOptions {
  unsigned threads = 4;                ///< lookups at the same time; a thread ends when no name waits
  std::size_t waiting = 64;            ///< names that wait for a thread; further ones are refused
  std::size_t names = 1024;            ///< results kept
  Nanoseconds ttl = 30 * kSecond;      ///< addresses are used that long: getaddrinfo(3) does not tell the record's own
  Nanoseconds negative_ttl = kSecond;  ///< failures are remembered that long
};

/// Blocks until the addresses of a name are known.
using Lookup = std::function<Result<Addresses>(const std::string& host)>;
/// getaddrinfo(3).
Result<Addresses> system_lookup(const std::string& host);

/// Runs `lookup` on a few threads of its own; one lookup for each name at a time, whoever asks. Nobody waits for the
/// threads: neither callers that leave, nor the destructor, nor the end of the process, because a lookup can hang for
/// as long as the system likes. `clock` outlives those threads.
std::shared_ptr<Resolver> threaded_resolver(ResolverOptions options = {}, Lookup lookup = system_lookup,
                                            const Clock& clock = system_clock());

/// The resolver of this process.
const std::shared_ptr<Resolver>& system_resolver();

}  // namespace plimsoll::net
