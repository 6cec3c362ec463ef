#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll {

/// The header by which a proxy tells, before the first byte of a connection, who is at its other end: version 1 in
/// text, version 2 in binary (haproxy.org/download/2.9/doc/proxy-protocol.txt).
struct ProxyHeader {
  enum class State : std::uint8_t { incomplete, complete, refused };
  State state = State::incomplete;
  std::size_t size = 0;  ///< bytes of the header, when complete
  bool known = false;    ///< false: the proxy speaks for itself (LOCAL), or does not know (UNKNOWN)
  std::string address;   ///< of the client, when known: IPv4 or IPv6 text, or `unix`
  std::uint16_t port = 0;
  std::string_view problem{};  ///< what is wrong, when refused
};

/// Bytes of a header that are taken; a version 2 header may carry values of its own, which are skipped.
inline constexpr std::size_t kProxyHeaderLimit = 4096;

/// Reads a header at the begin of `bytes`, of either version.
ProxyHeader read_proxy_header(std::string_view bytes);

}  // namespace plimsoll
