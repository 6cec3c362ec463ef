#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/cross_site.hpp"
#include "plimsoll/exchange/part.hpp"

namespace plimsoll::policy {
namespace {

constexpr contract::HeaderField kAllowOrigin{"Access-Control-Allow-Origin", "For browsers: whose pages may read it."};
constexpr contract::HeaderField kAllowCredentials{"Access-Control-Allow-Credentials",
                                                  "For browsers: whether it may be requested with cookies."};
constexpr contract::HeaderField kExposeHeaders{"Access-Control-Expose-Headers",
                                               "For browsers: headers that pages may read."};

/// Lets pages of other origins call, as the contract says (Fetch standard, section 3.2). Without the key no origin may.
/// No I/O.
class Cors final : public Check {
 public:
  struct Options {
    std::vector<std::string> origins;
    std::vector<std::string> headers = {"authorization",   "content-type", "if-match",    "if-none-match",
                                        "idempotency-key", "x-request-id", "traceparent", "plimsoll-after"};
    std::vector<std::string> expose = {"etag",        "location",         "link",          "retry-after",
                                       "ratelimit",   "ratelimit-policy", "x-request-id",  "idempotent-replayed",
                                       "deprecation", "sunset",           "plimsoll-after"};
    bool credentials = false;
    config::Duration max_age = config::minutes(10);
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::origins>(
          "origins", "Origins that may call, such as `https://app.example.com`; `*` is any, without credentials."),
      config::field<&Options::headers>("headers", "Request headers that a page may set."),
      config::field<&Options::expose>("expose", "Response headers that a page may read."),
      config::field<&Options::credentials>("credentials",
                                           "Whether requests may include cookies and client certificates."),
      config::field<&Options::max_age>("max-age", "How long a browser may cache a preflight response."),
  };
  static constexpr std::string_view short_form = config::Form<std::vector<std::string>>::schema;
  static constexpr Problem kRefused{"cors-refused", 403, "Origin not allowed",
                                    "Add the origin to `cors` in the contract, or call from an allowed one."};
  static constexpr std::string_view example = "https://app.example.com";
  static constexpr const Problem* problems[] = {&kRefused};

  /// `cors: https://app.example.com`, a list of origins, or the long form.
  static Result<Options> read(const json::Value& from) {
    auto read = read_either<&Options::origins>(from, fields);
    if (!read) return read;
    const auto& options = *read;
    if (options.credentials && std::ranges::find(options.origins, "*") != options.origins.end())
      return config::wrong(from, "`credentials: true` needs named origins: with `*` any site could act as its visitor",
                           "List the origins, `origins: [https://app.example.com]`, or leave `credentials` out.");
    for (const auto& origin : options.origins) {
      const auto scheme = origin.find("://");
      if (origin != "*" && (scheme == origin.npos || origin.find_first_of("/?#", scheme + 3) != origin.npos))
        return config::wrong(config::member_or(from, "origins"),
                             "an origin is scheme, host and port without a path, and not \"" + origin + "\"",
                             "Write it as browsers send it: https://app.example.com or http://localhost:3000.");
    }
    return read;
  }
  static Result<std::unique_ptr<Policy>> build(Options options, const Build&) {
    if (options.origins.empty()) return nullptr;
    return std::make_unique<Cors>(std::move(options));
  }
  static void describe(const Options& options, const Description&, contract::Promises& promises) {
    if (options.origins.empty()) return;
    promises.sends(contract::kVary);
    promises.sends(kAllowOrigin);
    promises.sends(kExposeHeaders);
    if (options.credentials) promises.sends(kAllowCredentials);
  }
  explicit Cors(Options options) : options_(std::move(options)) {
    headers_ = joined(options_.headers);
    expose_ = joined(options_.expose);
    max_age_ = std::to_string(options_.max_age.nanoseconds / kSecond);
    any_ = std::ranges::find(options_.origins, "*") != options_.origins.end();
  }

  Result<> check(Request& request, Context& context) override {
    if (!any_) context.promise("vary", "origin");
    const auto origin = request.headers.find("origin");
    if (origin.empty()) return {};
    const bool preflight = request.method == "OPTIONS" && request.headers.contains("access-control-request-method");
    if (!any_ && std::ranges::find(options_.origins, origin) == options_.origins.end()) {
      // Without the header the browser keeps the answer from the page; a preflight can be told why.
      if (preflight) return fail(kRefused, "The origin " + std::string(origin.substr(0, 256)) + " may not call here.");
      return {};
    }
    if (!any_) context.note<AllowedOrigin>();
    context.promise("access-control-allow-origin", lasting(any_ ? std::string_view("*") : origin));
    if (options_.credentials) context.promise("access-control-allow-credentials", "true");
    if (preflight) {
      context.promise("access-control-allow-methods", lasting(request.headers.find("access-control-request-method")));
      context.promise("access-control-allow-headers", lasting(headers_));
      context.promise("access-control-max-age", lasting(max_age_));
    } else {
      context.promise("access-control-expose-headers", lasting(expose_));
    }
    return {};
  }

 private:
  static std::string joined(const std::vector<std::string>& list) {
    std::string out;
    for (const auto& item : list) out += (out.empty() ? "" : ", ") + item;
    return out;
  }
  Options options_;
  std::string headers_, expose_, max_age_;
  bool any_ = false;
};

}  // namespace

extern constinit const Part cors = part<Cors>("cors", "Allows browsers to call from pages of other origins.");

}  // namespace plimsoll::policy
