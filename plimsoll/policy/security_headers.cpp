#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/field_block.hpp"

#include <map>

namespace plimsoll::policy {
namespace {

constexpr contract::HeaderField kTypeOptions{"X-Content-Type-Options", "For browsers: the media type is not guessed.",
                                             R"({"type":"string","enum":["nosniff"]})"};
constexpr contract::HeaderField kContentPolicy{"Content-Security-Policy", "For browsers: what a page may load."};
constexpr contract::HeaderField kFrameOptions{"X-Frame-Options", "For browsers: which pages may show it in a frame."};
constexpr contract::HeaderField kReferrerPolicy{"Referrer-Policy",
                                                "For browsers: which referrer later requests contain."};
constexpr contract::HeaderField kResourcePolicy{"Cross-Origin-Resource-Policy",
                                                "For browsers: which sites may embed the response."};
constexpr contract::HeaderField kTransportSecurity{"Strict-Transport-Security",
                                                   "For browsers, over TLS: always use https."};

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
  static constexpr std::string_view example = "{frame-options: SAMEORIGIN}";
  static constexpr std::span<const Problem* const> problems{};

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    // Pages of another server may load what this API never needs.
    if (build.operation.left_as_it_is("security-headers")) return nullptr;
    auto& blocks = build.services.of_plan->of<Written>()->by_options[key_of(options)];
    if (!blocks) {
      auto written = write(options, build);
      if (!written) return std::unexpected(std::move(written).error());
      blocks = std::make_shared<const Blocks>(std::move(*written));
    }
    return std::make_unique<SecurityHeaders>(blocks);
  }
  static void describe(const Options& options, const Description&, contract::Promises& promises) {
    promises.sends(kTypeOptions);
    const std::pair<const std::string&, const contract::HeaderField&> said[] = {
        {options.content_security_policy, kContentPolicy},
        {options.frame_options, kFrameOptions},
        {options.referrer_policy, kReferrerPolicy},
        {options.cross_origin_resource_policy, kResourcePolicy}};
    for (const auto& [value, field] : said)
      if (!value.empty()) promises.sends(field);
    if (options.strict_transport_security.nanoseconds >= kSecond) promises.sends(kTransportSecurity);
  }
  /// What is sent without TLS, and over it.
  struct Blocks {
    FixedFields clear, tls;
  };
  explicit SecurityHeaders(std::shared_ptr<const Blocks> blocks) : blocks_(std::move(blocks)) {}

  Result<> check(Request& request, Context& context) override {
    context.promise(request.peer.tls ? blocks_->tls : blocks_->clear);
    return {};
  }

 private:
  /// Of a plan: most operations have the same options, and share what is written for them.
  struct Written {
    std::map<std::string, std::shared_ptr<const Blocks>> by_options;
  };
  static std::string key_of(const Options& options) {
    std::string key = std::to_string(options.strict_transport_security.nanoseconds);
    for (const auto* value : {&options.content_security_policy, &options.frame_options, &options.referrer_policy,
                              &options.cross_origin_resource_policy})
      (key += '\0') += *value;
    return key;
  }
  static Result<Blocks> write(const Options& options, const Build& build) {
    Blocks blocks;
    struct {
      std::string_view option, name, value;
    } const all[] = {
        {{}, "x-content-type-options", "nosniff"},
        {"content-security-policy", "content-security-policy", options.content_security_policy},
        {"frame-options", "x-frame-options", options.frame_options},
        {"referrer-policy", "referrer-policy", options.referrer_policy},
        {"cross-origin-resource-policy", "cross-origin-resource-policy", options.cross_origin_resource_policy}};
    for (const auto& each : all)
      if (!each.value.empty() && !(blocks.clear.add(each.name, each.value) && blocks.tls.add(each.name, each.value)))
        return build.wrong(each.option, "the value contains a control character",
                           "Write it on one line; an empty text leaves the header out.");
    if (const auto seconds = options.strict_transport_security.nanoseconds / kSecond; seconds > 0)
      blocks.tls.add("strict-transport-security", "max-age=" + std::to_string(seconds) + "; includeSubDomains");
    return blocks;
  }

  const std::shared_ptr<const Blocks> blocks_;
};

}  // namespace

extern constinit const Part security_headers =
    part<SecurityHeaders>("security-headers", "Adds headers that restrict what browsers may do with a response.");

}  // namespace plimsoll::policy
