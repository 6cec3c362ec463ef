#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/http/message.hpp"

#include <array>
#include <span>
#include <string>
#include <vector>

namespace plimsoll {

/// An IP address as 16 bytes; IPv4 as IPv4-mapped IPv6 (RFC 4291, section 2.5.5.2).
struct Address {
  std::array<std::uint8_t, 16> bytes{};

  /// Without port; IPv6 without brackets, a zone is ignored. Nullopt when it is no address.
  static std::optional<Address> parse(std::string_view text);
  bool is_v4() const;
  /// What one household or host has for itself: all of an IPv4 address, the first 64 bits of IPv6.
  std::string_view site() const {
    return {reinterpret_cast<const char*>(bytes.data()), is_v4() ? bytes.size() : bytes.size() / 2};
  }
  friend bool operator==(const Address&, const Address&) = default;
};

/// A hash of the site of an address, or of a text that is none: by which clients are told apart. Never 0; not the same
/// in another process.
std::uint64_t site_key(std::string_view address) noexcept;

inline constexpr Problem kBadNetwork{"bad-network", 500, "Not an address or network",
                                     "Write 10.0.0.0/8, ::1 or `unix`."};

/// A list of networks: proxies whose word on who stands behind them is believed, clients that may ask.
class Networks {
 public:
  Networks() = default;
  /// Addresses, networks (`10.0.0.0/8`, `fd00::/8`), and `unix` for whoever comes by a Unix socket.
  static Result<Networks> parse(std::span<const std::string> networks);
  bool contains(std::string_view address) const;
  bool empty() const { return networks_.empty() && !unix_; }

 private:
  struct Network {
    Address address;
    unsigned bits = 128;
  };
  std::vector<Network> networks_;
  bool unix_ = false;
};

}  // namespace plimsoll
