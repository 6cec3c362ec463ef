#include "plimsoll/client/balance.hpp"

#include "plimsoll/client/gate.hpp"
#include "plimsoll/client/hash_key.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/client/random.hpp"
#include "plimsoll/client/targets.hpp"
#include "plimsoll/exchange/context.hpp"

#include <array>

namespace plimsoll::client {
namespace {

enum class Way : std::uint8_t { least_request, round_robin, latency, hash };

}  // namespace
}  // namespace plimsoll::client

template <>
struct plimsoll::config::Words<plimsoll::client::Way> {
  static constexpr std::string_view words[] = {"least-request", "round-robin", "latency", "hash"};
};

namespace plimsoll::client {
namespace {

/// Chooses the target of each attempt among those that are well, and takes one out for a while that keeps failing. A
/// retry goes to a target at which the call has not failed yet.
class Balance final : public Gate {
 public:
  struct Options {
    Way by = Way::least_request;
    std::string hash_by;
    config::Duration slow_start{0};
    std::int64_t failures = OutlierOptions{}.failures;
    config::Duration out{OutlierOptions{}.time}, longest{OutlierOptions{}.longest};
    config::Ratio most_out{OutlierOptions{}.share}, panic{0.3};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::by>(
          "by",
          "How a target is chosen: `least-request`: of two random targets the one with fewer calls in progress; "
          "`round-robin`: in turn; `latency`: of two random targets the one with the lower expected latency, by its "
          "latency and its calls in progress; `hash`: by a hash of `hash-by`."),
      config::shown(
          config::field<&Options::hash_by>("hash-by",
                                           "The key of requests with `by: hash`: header:NAME, cookie:NAME, claim:NAME "
                                           "or caller. Calls without it go to the less busy of two targets."),
          "'cookie:session'"),
      config::field<&Options::slow_start>(
          "slow-start",
          "The time in which the share of a new or returning target grows to its full size; not with `by: hash`.",
          {0, 3600 * kSecond}),
      config::field<&Options::failures>("failures", "Consecutive failures after which a target is ejected.", {1, 1000}),
      config::field<&Options::out>("out", "How long a target is ejected, multiplied by the number of its ejections.",
                                   {kMillisecond, 86'400 * kSecond}),
      config::field<&Options::longest>("longest", "The longest time that a target is ejected.",
                                       {kMillisecond, 86'400 * kSecond}),
      config::field<&Options::most_out>("most-out",
                                        "The largest share of the targets that is ejected at the same time."),
      config::field<&Options::panic>("panic", "If less than this share of the targets can be used, all are used."),
  };
  static constexpr std::string_view short_form = config::Form<Way>::schema;
  static constexpr std::string_view example = "round-robin";
  static constexpr Metric metrics[] = {
      {"plimsoll_client_ejections_total", "1", "How often a target was taken out of the balance for its failures."},
      {"plimsoll_client_target_usable", "1", "Whether a target is sent calls."},
      {"plimsoll_client_target_calls", "1", "Calls to a target that are in progress."},
      {"plimsoll_client_split_calls_total", "1", "Attempts of calls that went to a group of targets."},
      {"plimsoll_client_split_moved_total", "1",
       "Of those, the ones of callers of another group, which has no target that can be used."},
  };

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    Options options;
    if (from) {
      auto read = read_either<&Options::by>(*from, fields);
      if (!read) return std::unexpected(std::move(read).error());
      options = *read;
    }
    std::optional<HashKey> key;
    if (!options.hash_by.empty()) {
      auto read = HashKey::read(options.hash_by);
      if (!read) return config::wrong(config::member_or(*from, "hash-by"), read.error());
      key = std::move(*read);
    }
    if (key.has_value() != (options.by == Way::hash))
      return config::wrong(*from, key ? "`hash-by` is for `hash`" : "`hash` needs `hash-by`, such as cookie:session");
    if (!build.targets) return nullptr;
    return std::make_unique<Balance>(options, std::move(key), build.targets);
  }
  Balance(const Options& options, std::optional<HashKey> key, std::shared_ptr<Targets> targets)
      : way_(options.by),
        key_(std::move(key)),
        slow_start_(options.slow_start.nanoseconds),
        panic_(options.panic.value),
        outliers_{.failures = options.failures,
                  .time = options.out.nanoseconds,
                  .longest = options.longest.nanoseconds,
                  .share = options.most_out.value},
        targets_(std::move(targets)) {
    for (std::size_t i = 0; i < targets_->size(); ++i) weighted_ |= targets_->weight(i) != 1;
  }

  Result<> begin(Request& request, Context& context, CallState& state) override {
    const auto now = context.loop.now();
    state.target = targets_->size() == 1 ? 0
                                         : choose(state, now, key_ ? key_->of(request, context) : std::nullopt,
                                                  group_of(state, now, request, context));
    state.at_target = targets_->begin(state.target);
    return {};
  }
  void end(const CallOutcome& outcome, CallState& state) override {
    const auto target = state.target;
    const auto& failure = outcome.failure;
    if (!outcome.answer) state.at_target.end();
    // What was given up because another attempt answered would have taken longer: nobody knows how much. Taken for
    // what it is, a target that is hedged away would look no slower than the wait for the hedge.
    if (way_ == Way::latency)
      targets_->state(target).took((outcome.lost_race ? 2 : 1) * (outcome.ended - outcome.begun), outcome.ended,
                                   !failure);
    if (!failure) {
      targets_->succeeded(target);
    } else if (failure->counts()) {
      state.tried.set(target);
      targets_->failed(outliers_, target, outcome.ended);
    }
  }

 private:
  Choice choice(std::size_t target, Nanoseconds now) const {
    const auto& state = targets_->state(target);
    Choice made{.target = static_cast<std::uint32_t>(target), .running = state.running.load(std::memory_order_relaxed)};
    if (weighted_) made.weight = targets_->weight(target);
    if (slow_start_ && !key_) made.weight *= slow_start(now - state.since(), slow_start_);
    if (way_ == Way::latency) made.latency = state.latency.load(std::memory_order_relaxed).at(now);
    if (key_) made.name = targets_->hash(target);
    return made;
  }
  /// The group of targets that this attempt goes to, where they are split: that of its caller, or where no target there
  /// can be used, or all of them have failed this call, another.
  std::uint32_t group_of(CallState& state, Nanoseconds now, const Request& request, const Context& context) {
    const auto* split = targets_->split();
    if (!split) return 0;
    if (!state.caller) state.caller = caller_hash(targets_->service(), request, context).value_or(random_bits());
    std::bitset<Split::kMostGroups> usable, untried;
    for (std::size_t i = 0; i < targets_->size(); ++i)
      if (targets_->usable(i, now)) {
        usable.set(split->of_target(i));
        if (!state.tried[i]) untried.set(split->of_target(i));
      }
    const auto own = split->choose(*state.caller, [](auto) { return true; });
    auto chosen = split->choose(*state.caller, [&](auto group) { return untried[group]; });
    if (!chosen) chosen = split->choose(*state.caller, [&](auto group) { return usable[group]; });
    if (!chosen) chosen = own;
    targets_->goes_to(chosen.value_or(0), chosen != own);
    return chosen.value_or(0);
  }
  std::size_t choose(const CallState& state, Nanoseconds now, std::optional<std::uint64_t> key, std::uint32_t group) {
    std::array<Choice, CallState::kMostTargets> choices;
    const auto* split = targets_->split();
    const auto count = split ? split->targets_of(group) : targets_->size();
    const auto gather = [&](auto&& wanted) {
      std::size_t found = 0;
      for (std::size_t i = 0; i < targets_->size(); ++i)
        if ((!split || split->of_target(i) == group) && wanted(i)) choices[found++] = choice(i, now);
      return found;
    };
    const auto usable = gather([&](std::size_t i) { return targets_->usable(i, now); });
    const bool panic = is_panic(usable, count, panic_);
    auto found = usable;
    if (state.tried.any())
      found = gather([&](std::size_t i) { return !state.tried[i] && (panic || targets_->usable(i, now)); });
    if (found == 0 || (panic && state.tried.none()))
      found = gather([&](std::size_t i) { return panic || targets_->usable(i, now); });
    const std::span<const Choice> among{choices.data(), found};
    if (way_ == Way::round_robin) return round_robin(among, turn_.fetch_add(1, std::memory_order_relaxed));
    if (key) return by_hash(among, *key);
    return least(among, random_bits(), way_ == Way::latency);
  }

  const Way way_;
  const std::optional<HashKey> key_;
  const Nanoseconds slow_start_;
  bool weighted_ = false;
  const double panic_;
  const OutlierOptions outliers_;
  const std::shared_ptr<Targets> targets_;
  std::atomic<std::uint64_t> turn_{random_bits()};
};

}  // namespace

extern constinit const Part balance =
    part<Balance>("balance", "Chooses the target of each attempt among the healthy ones.");

}  // namespace plimsoll::client
