#pragma once

#include "plimsoll/client/message_signature.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/client/refusals.hpp"

#include <string>
#include <vector>

namespace plimsoll::client {

/// HTTP Message Signatures (RFC 9421), as they are configured.
struct SignatureOptions {
  std::string key, key_id, label = "sig1", tag;
  config::SignatureAlgorithm algorithm = config::SignatureAlgorithm::ed25519;
  std::vector<std::string> components{"@method", "@authority", "@path", "@query", "content-type", "content-digest"};
  config::Duration expires{0};
};
inline constexpr config::Field kSignatureFields[] = {
    config::shown(config::field<&SignatureOptions::key>(
                      "key", "The private key in PEM, or the secret of `hmac-sha256`, of 32 bytes at least."),
                  "'${file:/run/secrets/reviews.pem}'"),
    config::shown(
        config::field<&SignatureOptions::key_id>("key-id", "The name by which the service identifies the key."),
        "shop-1"),
    config::field<&SignatureOptions::algorithm>("algorithm", "The signature algorithm."),
    config::shown(
        config::field<&SignatureOptions::components>(
            "components",
            "The components of a request that are signed, if it has them: @method, @target-uri, @authority, @scheme, "
            "@request-target, @path, @query and names of fields. `content-digest` is added for a body."),
        "['@method', '@target-uri', content-digest]"),
    config::field<&SignatureOptions::label>("label", "The name of the signature among others."),
    config::shown(config::field<&SignatureOptions::tag>("tag", "The application that it is for; empty: not sent."),
                  "shop"),
    config::field<&SignatureOptions::expires>("expires", "How long the signature is valid; 0s: not sent.",
                                              {0, 86'400 * kSecond}),
};

/// Signs each attempt (message_signature.hpp): the components that the request has, and with `content-digest` (RFC
/// 9530) the body, which must be short enough to be kept. Error: `configuration`.
Result<std::unique_ptr<Policy>> message_signing(const json::Value& from, const Build& build,
                                                std::unique_ptr<Refusals> refusals);

}  // namespace plimsoll::client
