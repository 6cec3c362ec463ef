#pragma once

#include "plimsoll/client/part.hpp"
#include "plimsoll/client/plain_http.hpp"
#include "plimsoll/client/refusals.hpp"

namespace plimsoll::config {
enum class ClientAuthentication : std::uint8_t { basic, body };
template <>
struct Words<ClientAuthentication> {
  static constexpr std::string_view words[] = {"basic", "body"};
};
}  // namespace plimsoll::config

namespace plimsoll::client {

/// Client credentials (RFC 6749, section 4.4).
struct OAuth2Options {
  std::string token_url, client, secret, scope;
  config::RawObject parameters{};
  config::ClientAuthentication client_authentication = config::ClientAuthentication::basic;
  std::string authorities;
  config::PlainHttp plain_http = config::PlainHttp::refused;
};
inline constexpr config::Field kOAuth2Fields[] = {
    config::shown(
        config::field<&OAuth2Options::token_url>("token-url", "The URL from which tokens are fetched with POST."),
        "'https://id.example.com/token'"),
    config::shown(config::field<&OAuth2Options::client>("client", "The client's identifier."), "shop"),
    config::shown(config::field<&OAuth2Options::secret>("secret", "The client's secret."), "'${REVIEWS_SECRET}'"),
    config::shown(config::field<&OAuth2Options::scope>("scope", "Requested scopes, separated by spaces."),
                  "'reviews:read'"),
    config::shaped(
        config::field<&OAuth2Options::parameters>(
            "parameters", "Further parameters of the request for a token, such as `audience` or `resource`."),
        R"("type":"object","additionalProperties":{"type":"string"})", "{audience: reviews}"),
    config::field<&OAuth2Options::client_authentication>(
        "client-authentication", "How `client` and `secret` are sent: as `Authorization: Basic …`, or in the body."),
    config::field<&OAuth2Options::authorities>(
        "authorities", "PEM file of the authorities that sign the token server's certificate; empty: the system's."),
    config::field<&OAuth2Options::plain_http>("plain-http",
                                              "Whether a token server beyond this machine may be called without TLS."),
};

/// Gives each call a bearer token, which is fetched once for all calls that need one, on whatever loops, renewed before
/// its end beside them, and fetched once anew for a 401. The token outlives a reload that changes none of the options.
/// Error: `configuration`.
Result<std::unique_ptr<Policy>> oauth2(const json::Value& from, const Build& build, std::unique_ptr<Refusals> refusals);

/// What a token endpoint has answered (RFC 6749, section 5.1): a bearer token and how long it is good. Where nothing is
/// said of that: five minutes.
struct TokenAnswer {
  std::string token;
  Nanoseconds life = 300 * kSecond;
};
/// Error: why it is of no use, without anything that might be secret.
std::expected<TokenAnswer, std::string> read_token_answer(std::uint16_t status, std::string_view body);

}  // namespace plimsoll::client
