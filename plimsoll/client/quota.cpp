#include "plimsoll/client/quota.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/client/backoff.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <charconv>

namespace plimsoll::client {
namespace {

constexpr std::int64_t kDay = 86'400;

/// The number at the beginning of the text, which may go on with a list, a parameter or a fraction: 2027-01-01 is none.
std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number < 0) return std::nullopt;
  if (end != text.data() + text.size() && !std::string_view(" \t,;.").contains(*end)) return std::nullopt;
  return number;
}
Nanoseconds seconds(std::int64_t count) { return std::min(count, kDay) * kSecond; }

/// Calls `take` for each part of the text between those characters; what is in quotes is not looked into.
template <class F>
void each_part(std::string_view text, char between, F&& take) {
  bool quoted = false;
  std::size_t begun = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '"') quoted = !quoted;
    if (i < text.size() && (quoted || text[i] != between)) continue;
    if (const auto part = trimmed(text.substr(begun, i - begun)); !part.empty()) take(part);
    begun = i + 1;
  }
}

/// One limit of a list: `"name";r=50;t=30`, or `limit=100`.
struct Item {
  std::string_view name;  ///< with its quotes; or the whole first part
  std::optional<std::int64_t> r{}, t{}, q{}, w{};
};
Item item_of(std::string_view text) {
  Item item;
  each_part(text, ';', [&](std::string_view part) {
    if (item.name.empty()) {
      item.name = part;
      return;
    }
    const auto equals = part.find('=');
    if (equals != 1) return;
    const auto value = number_of(part.substr(2));
    switch (part[0]) {
      case 'r': item.r = value; break;
      case 't': item.t = value; break;
      case 'q': item.q = value; break;
      case 'w': item.w = value; break;
      default: break;
    }
  });
  return item;
}

void read_standard(std::string_view limits, std::string_view policies, QuotaNews& news) {
  std::string_view name;
  each_part(limits, ',', [&](std::string_view text) {
    const auto item = item_of(text);
    if (item.r) {
      const auto reset = seconds(item.t.value_or(0));
      const bool less = !news.remaining || *item.r < *news.remaining ||
                        (*item.r == *news.remaining && reset > news.reset.value_or(0));
      if (!less) return;
      news.remaining = item.r, news.reset = reset;
      name = item.name;
    } else if (const auto equals = text.find('='); equals != text.npos) {  // draft 7
      const auto value = number_of(text.substr(equals + 1));
      if (text.starts_with("limit=")) news.limit = value;
      if (text.starts_with("remaining=")) news.remaining = value;
      if (text.starts_with("reset=") && value) news.reset = seconds(*value);
    }
  });
  each_part(policies, ',', [&](std::string_view text) {
    const auto item = item_of(text);
    if (item.q && item.name == name)
      news.limit = item.q;
    else if (const auto limit = number_of(item.name); limit && news.limit == limit)
      news.limit = limit;
    else
      return;
    if (item.w) news.window = seconds(*item.w);
  });
}

void read_others(const Headers& headers, std::string_view prefix, Nanoseconds wall, QuotaNews& news) {
  const auto find = [&](std::string_view name) {
    return number_of(trimmed(headers.find(std::string(prefix).append(name))));
  };
  const auto remaining = find("remaining");
  if (!remaining) return;
  news.remaining = remaining;
  news.limit = find("limit");
  auto reset = find("reset");
  if (!reset) return;
  constexpr std::int64_t kEpochSeconds = 1'000'000'000;  // 2001; as a span 31 years
  if (*reset >= kEpochSeconds * 1000) *reset = *reset / 1000 + (*reset % 1000 != 0 ? 1 : 0);
  if (*reset >= kEpochSeconds) *reset = std::max<std::int64_t>(0, *reset - wall / kSecond);
  news.reset = seconds(*reset);
}

/// Begins no call whose answer would be 429: it waits where the quota is there again within the time of the call, and
/// fails at once where it is not.
class Quota final : public Policy {
 public:
  struct Options {
    config::Duration longest{30 * kSecond};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::longest>(
          "longest",
          "The longest wait for a quota that is used up; no call waits beyond its own deadline. A call that would have "
          "to fails at once.",
          {0, 3600 * kSecond}),
  };
  static constexpr std::string_view short_form = config::Form<config::Duration>::schema;
  static constexpr std::string_view example = "5s";
  static constexpr Metric metrics[] = {
      {"plimsoll_client_quota_used_ratio", "1",
       "The share of the quota at a service that is used up, as far as it tells: 0 to 1."},
      {"plimsoll_client_quota_waits_total", "1", "Calls that waited until a quota was there again."},
      {"plimsoll_client_quota_refused_total", "1", "Calls that were not sent because a quota is used up for too long."},
  };

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    Options options;
    if (from) {
      auto read = read_either<&Options::longest>(*from, fields);
      if (!read) return std::unexpected(std::move(read).error());
      options = *read;
    }
    // Without a credential of ours what it tells of may be the limit of one of our callers: no other is held to it.
    if (!from && !(build.resilient && build.credential)) return nullptr;
    return std::make_unique<Quota>(options, build);
  }
  Quota(const Options& options, const Build& build)
      : longest_(options.longest.nanoseconds),
        kept_(build.shared->of<Kept<Known>>()),
        known_(kept_->of(name_of(build))) {
    if (!build.services.metrics) return;
    auto& registry = *build.services.metrics;
    const telemetry::Label labels[] = {{"service", build.service}};
    waits_ = &registry.counter(metrics[1].name, metrics[1].sentence, labels);
    refused_ = &registry.counter(metrics[2].name, metrics[2].sentence, labels);
    used_ = registry.observe(telemetry::Kind::gauge, metrics[0].name, metrics[0].sentence, labels, [known = known_] {
      const std::scoped_lock lock(known->mutex);
      const auto limit = known->tracker.limit(), left = known->tracker.remaining(system_clock().steady());
      if (!limit || !left || *limit <= 0) return 0.0;
      return std::clamp(1 - static_cast<double>(*left) / static_cast<double>(*limit), 0.0, 1.0);
    });
  }

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    const auto& loop = context.loop;
    QuotaTracker::Admission admission;
    for (bool waited = false;; waited = true) {
      admission = known_->take(loop.now());
      if (admission.allowed) break;
      const auto wait = admission.until - loop.now();
      if (wait >= std::min(left(call_state(request, context), context), longest_)) {
        if (refused_) refused_->add();
        Error error{&kQuotaExhausted};
        error.more().retry_after = (wait + kSecond - 1) / kSecond;
        co_return std::unexpected(std::move(error));
      }
      if (waits_ && !waited) waits_->add();
      const bool rested = co_await pause(context.loop, wait);
      if (!rested) {
        const Scope* scope = co_await this_scope();
        co_return std::unexpected(error_of(scope->stopped()));
      }
    }
    auto answer = co_await next(request, context);
    if (answer && answer->status != 429 && answer->status < 500) known_->passed(admission.number);
    if (answer && speaks_of_it(answer->headers)) {
      const auto news = quota_news(answer->status, answer->headers, loop.wall());
      known_->note(admission.number, news, loop.now());
    }
    co_return answer;
  }

 private:
  struct Known {
    std::mutex mutex;
    QuotaTracker tracker;
    QuotaTracker::Admission take(Nanoseconds now) {
      const std::scoped_lock lock(mutex);
      return tracker.take(now);
    }
    void passed(std::uint64_t number) {
      const std::scoped_lock lock(mutex);
      tracker.passed(number);
    }
    void note(std::uint64_t number, const QuotaNews& news, Nanoseconds now) {
      const std::scoped_lock lock(mutex);
      tracker.note(number, news, now);
    }
  };
  /// Most answers do not.
  static bool speaks_of_it(const Headers& headers) {
    for (const auto& field : headers) {
      const std::string_view name = field.name;
      if (name.starts_with("ratelimit") || name.starts_with("x-rate") || name == "retry-after") return true;
    }
    return false;
  }
  static Nanoseconds left(const CallState& state, const Context& context) {
    auto until = state.until;
    if (context.deadline()) until = std::min(until, context.deadline());
    return until == kNever ? until : until - context.loop.now();
  }

  /// The limits of the other side are of a service and the credential that it is shown.
  static std::string name_of(const Build& build) {
    auto name = std::string(build.service);
    if (build.credential) name += ' ' + std::to_string(content_hash(json::to_string(*build.credential)).low);
    return name;
  }

  const Nanoseconds longest_;
  const std::shared_ptr<Kept<Known>> kept_;
  const std::shared_ptr<Known> known_;
  telemetry::Counter *waits_ = nullptr, *refused_ = nullptr;
  telemetry::Observation used_;
};

}  // namespace

QuotaNews quota_news(std::uint16_t status, const Headers& headers, Nanoseconds wall) {
  QuotaNews news;
  // A 503 is of one target, and others may answer.
  if (status == 429) news.retry_after = retry_after(headers.find("retry-after"), wall);
  if (headers.contains("ratelimit")) {
    read_standard(headers.joined("ratelimit"), headers.joined("ratelimit-policy"), news);
  } else {
    for (const auto* prefix : {"ratelimit-", "x-ratelimit-", "x-rate-limit-"})
      if (!news.remaining) read_others(headers, prefix, wall, news);
  }
  return news;
}

extern constinit const Part quota =
    part<Quota>("quota", "Keeps to the limits that the service tells of, before it rejects calls.");

}  // namespace plimsoll::client
