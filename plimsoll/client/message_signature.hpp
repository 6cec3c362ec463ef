#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/config/options.hpp"

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct evp_pkey_st;

namespace plimsoll::config {
/// Algorithms of HTTP Message Signatures (RFC 9421, section 6.2.2), as they are registered.
enum class SignatureAlgorithm : std::uint8_t {
  ed25519,
  ecdsa_p256_sha256,
  rsa_pss_sha512,
  rsa_v1_5_sha256,
  hmac_sha256
};
template <>
struct Words<SignatureAlgorithm> {
  static constexpr std::string_view words[] = {"ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256",
                                               "hmac-sha256"};
};
}  // namespace plimsoll::config

namespace plimsoll::client {

/// What HTTP Message Signatures (RFC 9421) sign of a request.
struct SignedMessage {
  std::string_view method, scheme, authority, path;
  std::string_view query;  ///< without the `?`
  bool has_query = false;
  /// Names in lower case; one name may come several times.
  std::span<const std::pair<std::string_view, std::string_view>> fields;
};

/// What is signed with which key, as `Signature-Input` says it.
struct SignatureParameters {
  std::vector<std::string> components;                ///< `@method`, `@path`, `content-digest`, …
  std::int64_t created = 0;                           ///< seconds since 1970; negative: not said
  std::int64_t expires = 0;                           ///< the same; 0: not said
  std::string key_id{}, algorithm{}, nonce{}, tag{};  ///< empty: not said
};
/// Whether it is one of the derived components that a request has (RFC 9421, section 2.2), without parameters, or the
/// name of a field.
bool is_component(std::string_view name);
/// The inner list with its parameters: `("@method");created=1;keyid="a"`.
std::string signature_input(const SignatureParameters& parameters);
/// The signature base (RFC 9421, section 2.5). Error: the component that the message does not have.
std::expected<std::string, std::string> signature_base(const SignedMessage& message,
                                                       const SignatureParameters& parameters);

std::string_view name_of(config::SignatureAlgorithm algorithm);

/// A key that signs: `hmac-sha256` with a secret, the others with a private key in PEM. Any thread.
class SigningKey {
 public:
  static std::expected<SigningKey, std::string> read(config::SignatureAlgorithm algorithm, std::string_view key);
  /// The signature in base64. Error: `internal`.
  Result<std::string> sign(std::string_view base) const;

 private:
  config::SignatureAlgorithm algorithm_ = config::SignatureAlgorithm::hmac_sha256;
  std::string secret_;
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace plimsoll::client
