#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/net/transport.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::net {

inline constexpr Problem kTls{"tls", 500, "TLS cannot be configured", "Correct the certificate, key or option named."};

/// What a caller has to show of itself.
enum class ClientCertificate : std::uint8_t { off, optional, required };
enum class TlsVersion : std::uint8_t { v1_2, v1_3 };

/// A certificate with its chain, and its key: paths of PEM files, or the PEM text itself.
struct Certificate {
  std::string certificate, key;
};

/// TLS of a listener. Always: versions 1.2 (suites with forward secrecy and authenticated encryption only) and 1.3; no
/// renegotiation, no compression, no early data.
struct TlsOptions {
  std::string certificate{}, key{};         ///< the first, shown where no server name fits
  std::vector<Certificate> certificates{};  ///< further ones, chosen by server name (SNI)
  TlsVersion minimum_version = TlsVersion::v1_2;
  ClientCertificate client_certificate = ClientCertificate::off;
  std::string client_authorities{};                      ///< PEM file: who may sign callers' certificates
  config::Duration ticket_lifetime = config::hours(12);  ///< how long a session can be resumed
  config::Duration reload = config::seconds(5);          ///< how often the files are looked at; 0: only when told
  /// Without one the listener is in clear.
  bool has_certificate() const { return !certificate.empty() || !certificates.empty(); }
};
extern const std::span<const config::Field> kTlsFields;

/// Certificates and keys of a listener, shared by its threads. A connection keeps what it began with, so that files are
/// exchanged under load and no connection notices.
class TlsContext {
 public:
  /// Reads the files, or says which cannot be used and why. Looks at them again as often as the options say, on a
  /// thread of its own; `told` is called there after each change, with what went wrong when it could not be used, and
  /// once for each thing that goes wrong. `expiring` is called with the time of expiry (Unix seconds) at the start and
  /// then once a day while the first certificate to expire has less than 14 days left, or none.
  static Result<std::shared_ptr<TlsContext>> load(TlsOptions options,
                                                  std::move_only_function<void(const Result<>&)> told = {},
                                                  const Clock& clock = system_clock(),
                                                  std::move_only_function<void(std::int64_t)> expiring = {});
  virtual ~TlsContext() = default;
  /// Reads the files again. When one cannot be used, or has expired while those in use have not, all stay as they were.
  /// Safe from any thread.
  virtual Result<> reload() = 0;
  /// TLS over a connected non-blocking socket, which it owns; the handshake is in `open`. Safe from any thread.
  virtual std::unique_ptr<Transport> transport(Loop& loop, int socket) = 0;
  /// When the first of the certificates in use expires, Unix seconds.
  virtual std::int64_t expires() const = 0;
};

}  // namespace plimsoll::net

template <>
struct plimsoll::config::Form<std::vector<plimsoll::net::Certificate>> {
  static constexpr std::string_view schema =
      R"("type":"array","items":{"type":"object","properties":{"certificate":{"type":"string"},"key":{"type":"string"}},"required":["certificate"],"additionalProperties":false})";
  static Result<std::vector<net::Certificate>> read(const json::Value&);
  static std::string show(const std::vector<net::Certificate>&);
};
template <>
struct plimsoll::config::Words<plimsoll::net::ClientCertificate> {
  static constexpr std::string_view words[] = {"off", "optional", "required"};
};
template <>
struct plimsoll::config::Words<plimsoll::net::TlsVersion> {
  static constexpr std::string_view words[] = {"1.2", "1.3"};
};
