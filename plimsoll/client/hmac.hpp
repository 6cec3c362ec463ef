#pragma once

#include "plimsoll/client/part.hpp"
#include "plimsoll/client/refusals.hpp"

#include <expected>

namespace plimsoll::config {
enum class HmacHash : std::uint8_t { sha256, sha512, sha1 };
template <>
struct Words<HmacHash> {
  static constexpr std::string_view words[] = {"sha256", "sha512", "sha1"};
};
enum class HmacEncoding : std::uint8_t { hex, base64 };
template <>
struct Words<HmacEncoding> {
  static constexpr std::string_view words[] = {"hex", "base64"};
};
}  // namespace plimsoll::config

namespace plimsoll::client {

/// A signature of the service's own making: an HMAC (RFC 2104) over a text that a template says.
struct HmacOptions {
  std::string secret, header, prefix, content;
  config::HmacHash algorithm = config::HmacHash::sha256;
  config::HmacEncoding encoding = config::HmacEncoding::hex;
  config::RawObject headers{};
};
inline constexpr config::Field kHmacFields[] = {
    config::shown(config::field<&HmacOptions::secret>("secret", "The secret that both sides know."),
                  "'${REVIEWS_SECRET}'"),
    config::shown(config::field<&HmacOptions::content>(
                      "template",
                      "What is signed: text with {method}, {target}, {path}, {query}, {host}, {timestamp} (seconds), "
                      "{timestamp-ms}, {nonce}, {body}, {body-sha256} (hexadecimal) and {header:NAME}."),
                  "'{timestamp}.{body}'"),
    config::shown(config::field<&HmacOptions::header>("header", "The field that carries the signature."),
                  "X-Signature"),
    config::shown(
        config::field<&HmacOptions::prefix>("prefix", "What stands before it there, with the same names in braces."),
        "'t={timestamp},v1='"),
    config::field<&HmacOptions::algorithm>("algorithm", "The hash."),
    config::field<&HmacOptions::encoding>("encoding", "How the signature is written."),
    config::shaped(config::field<&HmacOptions::headers>(
                       "headers", "Further fields by name, with the same names in braces in their values."),
                   R"("type":"object","additionalProperties":{"type":"string"})", "{X-Timestamp: '{timestamp}'}"),
};

/// What the names in the braces of templates stand for.
struct HmacValues {
  std::string_view method, target, host, body;
  std::string timestamp, timestamp_ms, nonce;
  const Headers* fields = nullptr;
};

/// A text with names in braces.
class HmacTemplate {
 public:
  enum class Name : std::uint8_t {
    method,
    target,
    path,
    query,
    host,
    timestamp,
    timestamp_ms,
    nonce,
    body,
    body_sha256,
    header
  };
  /// Error: a sentence.
  static std::expected<HmacTemplate, std::string> read(std::string_view text);
  std::string fill(const HmacValues& values) const;
  bool has(Name name) const;
  bool of_body() const { return has(Name::body) || has(Name::body_sha256); }

 private:
  struct Piece {
    std::string before;  ///< text
    bool named = false;
    Name name = Name::method;
    std::string field{};  ///< of `header`
  };
  std::vector<Piece> pieces_;
};

/// The signature as it is written.
std::string hmac_text(config::HmacHash hash, config::HmacEncoding encoding, std::string_view secret,
                      std::string_view content);

/// Signs each attempt. Error: `configuration`.
Result<std::unique_ptr<Policy>> hmac(const json::Value& from, const Build& build, std::unique_ptr<Refusals> refusals);

}  // namespace plimsoll::client
