#pragma once

#include "plimsoll/net/transport.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace plimsoll::net {

/// What the other server has to prove: its name and that an authority vouches for it; the second only; or nothing,
/// which is for this machine alone.
enum class TlsVerify : std::uint8_t { name, authority, nothing };

struct TlsClientOptions {
  std::string authorities{};  ///< PEM file of those who sign servers' certificates; empty: the system's
  TlsVerify verify = TlsVerify::name;
  /// What this side shows of itself, PEM text or paths of files of it; empty: nothing, or a key that stands with the
  /// certificate.
  std::string certificate{}, key{};
};

/// TLS towards other servers: 1.2 (suites with forward secrecy and authenticated encryption only) and 1.3, chain and
/// name verified unless the options say otherwise, no renegotiation, no compression, no early data. Safe from any
/// thread.
class TlsClient {
 public:
  /// Error: `tls`, when a file cannot be read or used.
  static Result<std::shared_ptr<TlsClient>> load(const TlsClientOptions& options);
  virtual ~TlsClient() = default;
  /// Different for each that was ever loaded.
  virtual std::uint64_t number() const noexcept = 0;
  /// TLS over a connected non-blocking socket, which it owns; the handshake is in `open`. `host`: the name or literal
  /// address that was asked for. `protocols`: offered by ALPN, preferred first, each behind its length (RFC 7301,
  /// section 3.1); empty: none.
  virtual std::unique_ptr<Transport> transport(Loop& loop, int socket, const std::string& host,
                                               std::string_view protocols = {}) = 0;
};

}  // namespace plimsoll::net
