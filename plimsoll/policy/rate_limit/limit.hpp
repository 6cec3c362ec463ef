#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/policy/rate_limit/gcra.hpp"

#include <optional>
#include <string>
#include <vector>

namespace plimsoll::policy {

/// Whose requests a limit counts together.
enum class By : std::uint8_t {
  caller,    ///< the principal; who has none is counted by address
  address,   ///< the client's address, IPv6 by /64
  header,    ///< the value of a request header; who sends none is counted by address
  stranger,  ///< by address those that bring no credentials: the limit that is there when nobody names one
};

inline constexpr std::size_t kLongestName = 64;  ///< of a limit

/// A rate with what headers say of it.
struct Allowance {
  Rate rate;
  std::string policy;   ///< its item in `RateLimit-Policy`: `"caller";q=1000;w=60`
  std::string limit;    ///< `1000`
  std::string refusal;  ///< what callers above it are told, up to the number of seconds
  bool operator==(const Allowance&) const = default;
};

/// Another allowance for callers of a role, or for one caller by subject; none: they are not limited.
struct Tier {
  std::string who;
  std::optional<Allowance> allowance;
  bool operator==(const Tier&) const = default;
};

/// One limit, as the contract writes it.
struct Limit {
  Allowance allowance;
  By by = By::caller;
  std::string header;  ///< lower case
  std::string name;    ///< in the headers; unique within the operation
  bool per_operation = false;
  bool known_only = false;  ///< `by: caller`, and who has no principal is left to another limit
  std::vector<Tier> tiers;
  std::uint64_t identity = 0;  ///< what keeps its keys apart from other limits'

  /// What holds for a caller; null: not limited.
  const Allowance* allowance_for(std::string_view subject, std::span<const std::string_view> roles) const;
  bool operator==(const Limit&) const = default;
};

/// `limit` of the long form: a rate, or units whose period is `per`.
struct Amount {
  std::int64_t units = 0;
  std::optional<Nanoseconds> period;
};
/// `per` of the long form: a period, or `operation`.
struct Per {
  std::optional<Nanoseconds> period;
  bool operation = false;
};
struct Tiers {
  std::vector<std::pair<std::string, std::optional<Amount>>> list;
};

/// The value of `rate-limit`, read.
struct RateLimitOptions {
  std::optional<Amount> limit;
  Per per;
  std::int64_t burst = 0;
  std::string by = "caller";
  std::string algorithm = "token-bucket";
  std::int64_t cost = 1;
  Tiers tiers;
  std::string name;
  std::vector<std::string> refund;

  std::vector<Limit> limits;  ///< empty: it names none, those of the outer scope hold
};

/// Reads the short form, the long form, or a list of them.
Result<RateLimitOptions> read_rate_limit(const json::Value& from);
/// 1000/minute by caller, and 600/minute by address for who brings no credentials.
std::vector<Limit> default_limits();
/// `1000/minute by caller`.
std::string to_string(const Limit&);

}  // namespace plimsoll::policy

namespace plimsoll::config {

template <>
struct Form<std::optional<policy::Amount>> {
  static constexpr std::string_view schema =
      R"("anyOf":[{"type":"integer","minimum":1},{"type":"string","pattern":"^[0-9]+/(second|minute|hour|day|[0-9]+(ms|s|m|h|d))$"}])";
  static Result<std::optional<policy::Amount>> read(const json::Value&);
  static std::string show(const std::optional<policy::Amount>&);
};
template <>
struct Form<policy::Per> {
  static constexpr std::string_view schema = R"("type":"string","pattern":"^(operation|[0-9]+(ms|s|m|h|d))$")";
  static Result<policy::Per> read(const json::Value&);
  static std::string show(const policy::Per&);
};
template <>
struct Form<policy::Tiers> {
  static constexpr std::string_view schema =
      R"("type":"object","additionalProperties":{"anyOf":[{"const":"off"},{"const":false},{"type":"integer","minimum":1},{"type":"string","pattern":"^[0-9]+/(second|minute|hour|day|[0-9]+(ms|s|m|h|d))$"}]})";
  static Result<policy::Tiers> read(const json::Value&);
  static std::string show(const policy::Tiers&);
};

}  // namespace plimsoll::config

namespace plimsoll::policy {

inline constexpr std::size_t kMostLimits = 8;  ///< of one operation

inline constexpr config::Field kRateLimitFields[] = {
    config::field<&RateLimitOptions::limit>("limit", "Units allowed in each period, or a rate such as `100/minute`."),
    config::field<&RateLimitOptions::per>(
        "per", "The period; or `operation`, to count each operation separately instead of all that share the limit."),
    config::field<&RateLimitOptions::burst>("burst", "Units that may be used at once; 0: as many as the limit.",
                                            {0, 1'000'000'000'000'000}),
    config::field<&RateLimitOptions::by>(
        "by", "The key by which requests are counted: `caller`, `address`, or `header NAME`."),
    config::field<&RateLimitOptions::algorithm>("algorithm", "The algorithm of the limit: `token-bucket`."),
    config::field<&RateLimitOptions::cost>(
        "cost", "Units that a request of this operation costs; alone, it keeps the limits of the outer scope.",
        {0, 1'000'000}),
    config::field<&RateLimitOptions::tiers>("tiers",
                                            "Other limits by role or by the caller's subject; `off`: none for them."),
    config::field<&RateLimitOptions::name>("name", "Name of the limit in the headers; empty: the value of `by`."),
    config::field<&RateLimitOptions::refund>("refund", "Classes of responses whose cost is refunded, such as `5xx`."),
};

}  // namespace plimsoll::policy
