#include "plimsoll/policy/rate_limit/limit.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/exchange/part.hpp"

#include <algorithm>

namespace plimsoll::policy {
namespace {

constexpr std::int64_t kMostUnits = 1'000'000'000;
constexpr Nanoseconds kLongest = 366 * 86'400 * kSecond;

/// `"caller";q=1000;w=60`. Windows are whole seconds there (draft-ietf-httpapi-ratelimit-headers, section 3.1).
std::string policy_item(std::string_view name, const Rate& rate) {
  const auto window = std::max<Nanoseconds>((rate.period + kSecond - 1) / kSecond, 1);
  const auto quota = rate.period >= kSecond ? rate.limit : rate.limit * (kSecond / rate.period);
  return '"' + std::string(name) + "\";q=" + std::to_string(quota) + ";w=" + std::to_string(window);
}

Result<Rate> rate_of(const json::Value& at, const Amount& amount, Nanoseconds period, std::int64_t burst) {
  period = amount.period.value_or(period);
  if (amount.units < 1) return config::wrong(at, "a limit is at least 1; `off` removes it");
  if (amount.units > kMostUnits || burst > kMostUnits) return config::wrong(at, "a limit is at most 1000000000");
  if (period < kMillisecond || period > kLongest) return config::wrong(at, "a period is between 1ms and 366d");
  if (burst < 0) return config::wrong(at, "a burst is at least 1");
  const Rate rate{.limit = amount.units, .period = period, .burst = burst > 0 ? burst : amount.units};
  if (rate.burst > kLongest / rate.interval())
    return config::wrong(at, "the burst would take more than 366d to refill");
  return rate;
}

Result<> read_by(const json::Value& at, std::string_view text, Limit& limit) {
  if (text == "caller") return limit.by = By::caller, Result<>{};
  if (text == "address") return limit.by = By::address, Result<>{};
  if (text.starts_with("header ") && text.size() > 7) {
    limit.by = By::header;
    limit.header = lowered(text.substr(7));
    const bool token = std::ranges::all_of(
        limit.header, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
    if (token) return {};
  }
  return config::wrong(at, "`by` is caller, address, or header NAME");
}

/// `100/minute by header X-Team per operation`
Result<Limit> read_short(const json::Value& from) {
  auto text = from.string();
  Limit limit;
  constexpr std::string_view kPerOperation = " per operation";
  if (text.ends_with(kPerOperation)) {
    limit.per_operation = true;
    text.remove_suffix(kPerOperation.size());
  }
  if (const auto by = text.find(" by "); by != text.npos) {
    if (auto done = read_by(from, text.substr(by + 4), limit); !done) return std::unexpected(std::move(done).error());
    text = text.substr(0, by);
  }
  const auto rate = config::parse_rate(text);
  if (!rate) return config::wrong(from, "a limit is expected, such as 100/minute, or 100/second by address");
  auto made = rate_of(from, {rate->limit, rate->per.nanoseconds}, 0, 0);
  if (!made) return std::unexpected(std::move(made).error());
  limit.allowance.rate = *made;
  return limit;
}

Result<Limit> limit_of(const json::Value& from, const RateLimitOptions& options) {
  Limit limit;
  if (auto done = read_by(from, options.by, limit); !done) return std::unexpected(std::move(done).error());
  const auto period = options.per.period.value_or(60 * kSecond);
  if (options.limit->period && options.per.period)
    return config::wrong(from, "the period is said twice, by `limit` and by `per`");
  auto rate = rate_of(from, *options.limit, period, options.burst);
  if (!rate) return std::unexpected(std::move(rate).error());
  limit.allowance.rate = *rate;
  limit.per_operation = options.per.operation;
  limit.name = options.name;
  for (const auto& [who, amount] : options.tiers.list) {
    Tier tier{who, std::nullopt};
    if (amount) {
      auto its = rate_of(from, *amount, rate->period, 0);
      if (!its) return std::unexpected(std::move(its).error());
      tier.allowance = Allowance{.rate = *its};
    }
    limit.tiers.push_back(std::move(tier));
  }
  return limit;
}

Result<> read_long(const json::Value& from, RateLimitOptions& options) {
  if (auto done = config::read(from, kRateLimitFields, &options, kEveryPolicy); !done) return done;
  if (options.algorithm != "token-bucket") {
    constexpr std::string_view kLater[] = {"leaky-bucket", "fixed-window", "sliding-window", "sliding-log"};
    const bool later = std::ranges::find(kLater, options.algorithm) != std::end(kLater);
    return config::wrong(*from.find("algorithm"),
                         later ? "this version does not implement that algorithm yet; token-bucket is there"
                               : "`algorithm` is token-bucket");
  }
  if (options.name.size() > kLongestName || !std::ranges::all_of(options.name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
      }))
    return config::wrong(from, "a name is of lower case letters, digits and dashes, at most 64");
  if (options.cost < 0 || options.cost > kMostUnits) return config::wrong(from, "a cost is between 0 and 1000000000");
  for (const auto& status : options.refund)
    if (status.size() != 3 || status[0] < '1' || status[0] > '5' || status.substr(1) != "xx")
      return config::wrong(from, "`refund` lists classes of status: 4xx, 5xx");
  if (options.limit) {
    auto limit = limit_of(from, options);
    if (!limit) return std::unexpected(std::move(limit).error());
    options.limits.push_back(std::move(*limit));
  } else if (options.burst || !options.tiers.list.empty() || options.per.period || from.find("by")) {
    return config::wrong(from, "a rate limit needs its `limit`");
  }
  return {};
}

void name_all(std::vector<Limit>& limits) {
  constexpr std::string_view kNames[] = {"caller", "address", "header", "address"};
  for (std::size_t i = 0; i < limits.size(); ++i) {
    auto& limit = limits[i];
    if (limit.name.empty()) {
      limit.name = kNames[static_cast<std::size_t>(limit.by)];
      const auto before = std::count_if(limits.begin(), limits.begin() + static_cast<std::ptrdiff_t>(i),
                                        [&](auto& other) { return other.by == limit.by; });
      if (before > 0) limit.name += "-" + std::to_string(before + 1);
    }
    const auto write_out = [&](Allowance& allowance) {
      allowance.policy = policy_item(limit.name, allowance.rate);
      allowance.limit = std::to_string(allowance.rate.limit);
      allowance.refusal = config::to_string(config::Rate{allowance.rate.limit, {allowance.rate.period}}) +
                          " are allowed by the limit \"" + limit.name + "\"; ask again in ";
    };
    write_out(limit.allowance);
    for (auto& tier : limit.tiers)
      if (tier.allowance) write_out(*tier.allowance);
  }
}

}  // namespace

const Allowance* Limit::allowance_for(std::string_view subject, std::span<const std::string_view> roles) const {
  for (const auto& tier : tiers)
    if (tier.who == subject || std::ranges::find(roles, tier.who) != roles.end())
      return tier.allowance ? &*tier.allowance : nullptr;
  return &allowance;
}

Result<RateLimitOptions> read_rate_limit(const json::Value& from) {
  RateLimitOptions options;
  const auto add = [&](const json::Value& item) -> Result<> {
    if (item.is(json::Type::string)) {
      auto limit = read_short(item);
      if (!limit) return std::unexpected(std::move(limit).error());
      options.limits.push_back(std::move(*limit));
      return {};
    }
    if (!item.is(json::Type::object)) return config::wrong(item, "a limit is expected, such as 100/minute");
    RateLimitOptions one;
    if (auto done = read_long(item, one); !done) return done;
    if (&item != &from && one.limits.empty()) return config::wrong(item, "a rate limit needs its `limit`");
    if (&item != &from && (one.cost != 1 || !one.refund.empty() || item.find("mode")))
      return config::wrong(item,
                           "`cost`, `refund` and `mode` belong to all limits of an operation, not to one of a list");
    auto limits = std::move(options.limits);
    limits.insert(limits.end(), one.limits.begin(), one.limits.end());
    options = std::move(one);
    options.limits = std::move(limits);
    return {};
  };
  if (from.is(json::Type::array)) {
    for (const auto& item : from.array())
      if (auto done = add(item); !done) return std::unexpected(std::move(done).error());
    if (options.limits.empty()) return config::wrong(from, "the list is empty; `off` removes limits");
    if (options.limits.size() > kMostLimits) return config::wrong(from, "at most 8 limits for one operation");
  } else if (auto done = add(from); !done) {
    return std::unexpected(std::move(done).error());
  }
  name_all(options.limits);
  for (const auto& limit : options.limits)
    if (options.cost > limit.allowance.rate.burst)
      return config::wrong(from,
                           "the cost is above what \"" + limit.name + "\" lets come at once: it would never pass");
  return options;
}

std::vector<Limit> default_limits() {
  std::vector<Limit> made(2);
  made[0].allowance.rate = {.limit = 1000, .period = 60 * kSecond, .burst = 1000};
  made[1].allowance.rate = {.limit = 600, .period = 60 * kSecond, .burst = 600};
  made[0].known_only = true;
  made[1].by = By::stranger;
  name_all(made);
  return made;
}

std::string to_string(const Limit& limit) {
  const auto& rate = limit.allowance.rate;
  auto out = config::to_string(config::Rate{rate.limit, {rate.period}});
  switch (limit.by) {
    case By::caller: return out + " by caller";
    case By::address: return out + " by address";
    case By::header: return out + " by header " + limit.header;
    case By::stranger: return out + " by address without credentials";
  }
  return out;
}

}  // namespace plimsoll::policy

namespace plimsoll::config {

Result<std::optional<policy::Amount>> Form<std::optional<policy::Amount>>::read(const json::Value& v) {
  if (v.is(json::Type::number) && v.integer()) return policy::Amount{*v.integer(), std::nullopt};
  if (v.is(json::Type::string))
    if (const auto rate = parse_rate(v.string())) return policy::Amount{rate->limit, rate->per.nanoseconds};
  return wrong(v, "a number of units or a rate is expected, such as 100 or 100/minute");
}
std::string Form<std::optional<policy::Amount>>::show(const std::optional<policy::Amount>& amount) {
  if (!amount) return "null";
  if (!amount->period) return std::to_string(amount->units);
  return '"' + to_string(Rate{amount->units, {*amount->period}}) + '"';
}

Result<policy::Per> Form<policy::Per>::read(const json::Value& v) {
  if (v.is(json::Type::string)) {
    if (v.string() == "operation") return policy::Per{.operation = true};
    if (const auto span = parse_duration(v.string())) return policy::Per{.period = span->nanoseconds};
  }
  return wrong(v, "a duration such as 1m is expected, or `operation`");
}
std::string Form<policy::Per>::show(const policy::Per& per) {
  return per.operation ? "\"operation\"" : '"' + to_string(Duration{per.period.value_or(60 * kSecond)}) + '"';
}

Result<policy::Tiers> Form<policy::Tiers>::read(const json::Value& v) {
  if (!v.is(json::Type::object)) return wrong(v, "roles with their limits are expected");
  policy::Tiers tiers;
  for (const auto& [who, value, at] : v.object()) {
    const bool off = (value.is(json::Type::string) && value.string() == "off") ||
                     (value.is(json::Type::boolean) && !value.boolean());
    std::optional<policy::Amount> amount;
    if (!off) {
      auto read = Form<std::optional<policy::Amount>>::read(value);
      if (!read) return std::unexpected(std::move(read).error());
      amount = *read;
    }
    tiers.list.emplace_back(std::string(who), amount);
  }
  return tiers;
}
std::string Form<policy::Tiers>::show(const policy::Tiers&) { return "{}"; }

}  // namespace plimsoll::config
