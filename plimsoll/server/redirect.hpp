#pragma once

#include "plimsoll/config/options.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace plimsoll {
class Handler;
}

namespace plimsoll::server {

/// `redirect-to-https` of the deployment.
struct RedirectToHttps {
  std::vector<std::string> from;  ///< listeners in clear, which only redirect
  std::int64_t port = 443;        ///< of the https URL
};
extern const std::span<const config::Field> kRedirectFields;
/// `true`, `false` or an object; null: nothing is said.
inline constexpr std::string_view kRedirectShort = R"("type":"boolean")";
Result<std::optional<RedirectToHttps>> read_redirect(const json::Value* from);

/// Answers every request with 308 and the same URL by https (RFC 9110, sections 15.4.9 and 7.4).
std::unique_ptr<Handler> redirect_to_https(std::int64_t port);

}  // namespace plimsoll::server
