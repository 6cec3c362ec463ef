#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"

namespace plimsoll::policy {
namespace {

/// What browsers should be told by an API that serves no pages (OWASP REST security, Helmet's set). A page of ours,
/// such as /docs, brings its own Content-Security-Policy, which wins.
class SecurityHeaders final : public Check {
 public:
  struct Options {
    std::string content_security_policy = "default-src 'none'; frame-ancestors 'none'";
    std::string frame_options = "DENY";
    std::string referrer_policy = "no-referrer";
    std::string cross_origin_resource_policy = "same-origin";
    config::Duration strict_transport_security = config::days(365);
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::content_security_policy>("content-security-policy",
                                                       "`Content-Security-Policy`; empty: not sent."),
      config::field<&Options::frame_options>("frame-options", "`X-Frame-Options`; empty: not sent."),
      config::field<&Options::referrer_policy>("referrer-policy", "`Referrer-Policy`; empty: not sent."),
      config::field<&Options::cross_origin_resource_policy>(
          "cross-origin-resource-policy",
          "`Cross-Origin-Resource-Policy`; `cross-origin` lets other sites embed answers; empty: not sent."),
      config::field<&Options::strict_transport_security>(
          "strict-transport-security", "`max-age` of `Strict-Transport-Security`, sent over TLS only; 0s: not sent."),
  };
  static constexpr std::span<const Problem* const> problems{};

  static Result<std::unique_ptr<Policy>> build(Options options, const Build&) {
    return std::make_unique<SecurityHeaders>(std::move(options));
  }
  explicit SecurityHeaders(Options options) : options_(std::move(options)) {
    sts_ =
        "max-age=" + std::to_string(options_.strict_transport_security.nanoseconds / kSecond) + "; includeSubDomains";
  }

  Result<> check(Request& request, Context& context) override {
    context.promise("x-content-type-options", "nosniff");
    promise(context, "content-security-policy", options_.content_security_policy);
    promise(context, "x-frame-options", options_.frame_options);
    promise(context, "referrer-policy", options_.referrer_policy);
    promise(context, "cross-origin-resource-policy", options_.cross_origin_resource_policy);
    if (request.peer.tls && options_.strict_transport_security.nanoseconds > 0)
      context.promise("strict-transport-security", sts_);
    return {};
  }

 private:
  static void promise(Context& context, std::string_view name, const std::string& value) {
    if (!value.empty()) context.promise(name, value);
  }
  Options options_;
  std::string sts_;
};

}  // namespace

extern constinit const Part security_headers =
    part<SecurityHeaders>("security-headers", "Tells browsers to trust an answer with nothing it does not need.");

}  // namespace plimsoll::policy
