#include "plimsoll/client/balance.hpp"

#include "plimsoll/client/failure.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/client/random.hpp"
#include "plimsoll/client/targets.hpp"
#include "plimsoll/exchange/context.hpp"

#include <array>

namespace plimsoll::client {
namespace {

enum class Way : std::uint8_t { least_request, round_robin };

}  // namespace
}  // namespace plimsoll::client

template <>
struct plimsoll::config::Words<plimsoll::client::Way> {
  static constexpr std::string_view words[] = {"least-request", "round-robin"};
};

namespace plimsoll::client {
namespace {

/// Chooses the target of each attempt among those that are well, and takes one out for a while that keeps failing. A
/// retry goes to a target at which the call has not failed yet.
class Balance final : public Policy {
 public:
  struct Options {
    Way by = Way::least_request;
    std::int64_t failures = OutlierOptions{}.failures;
    config::Duration out{OutlierOptions{}.time}, longest{OutlierOptions{}.longest};
    config::Ratio most_out{OutlierOptions{}.share}, panic{0.3};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::by>("by",
                                  "How a target is chosen: of two at random the one with fewer calls under way, or "
                                  "in turn."),
      config::field<&Options::failures>("failures", "Failures one after another for which a target is taken out.",
                                        {1, 1000}),
      config::field<&Options::out>("out", "How long it is out, times how often it was.",
                                   {kMillisecond, 86'400 * kSecond}),
      config::field<&Options::longest>("longest", "The longest time it is out.", {kMillisecond, 86'400 * kSecond}),
      config::field<&Options::most_out>("most-out", "The share of the targets of which no more are out at once."),
      config::field<&Options::panic>("panic", "Where less than this share of the targets can be used, all are."),
  };
  static constexpr std::string_view short_form = config::Form<Way>::schema;
  static constexpr std::string_view example = "round-robin";
  static constexpr Metric metrics[] = {
      {"plimsoll_client_ejections_total", "1", "How often a target was taken out of the balance for its failures."},
      {"plimsoll_client_target_usable", "1", "Whether a target is sent calls."},
      {"plimsoll_client_target_calls", "1", "Calls to a target that are under way."},
  };

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    Options options;
    if (from) {
      auto read = read_either<&Options::by>(*from, fields);
      if (!read) return std::unexpected(std::move(read).error());
      options = *read;
    }
    if (!build.targets) return nullptr;
    return std::make_unique<Balance>(options, build.targets);
  }
  Balance(const Options& options, std::shared_ptr<Targets> targets)
      : way_(options.by),
        panic_(options.panic.value),
        outliers_{.failures = options.failures,
                  .time = options.out.nanoseconds,
                  .longest = options.longest.nanoseconds,
                  .share = options.most_out.value},
        targets_(std::move(targets)) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto& state = call_state(request, context);
    const auto target = targets_->size() == 1 ? 0 : choose(state, context.loop.now());
    state.target = target;
    state.at_target = targets_->begin(target);
    auto answer = co_await next(request, context);
    const auto failure = failure_of(answer, request, state, context.loop.wall());
    if (!failure) {
      targets_->succeeded(target);
    } else if (failure->counts()) {
      state.tried.set(target);
      targets_->failed(outliers_, target, context.loop.now());
    }
    if (!answer) state.at_target.end();
    co_return answer;
  }

 private:
  std::size_t choose(const CallState& state, Nanoseconds now) {
    std::array<Choice, CallState::kMostTargets> choices;
    const auto count = targets_->size();
    const auto gather = [&](auto&& wanted) {
      std::size_t found = 0;
      for (std::size_t i = 0; i < count; ++i)
        if (wanted(i))
          choices[found++] = {static_cast<std::uint32_t>(i),
                              targets_->state(i).running.load(std::memory_order_relaxed)};
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
    return least_request(among, random_bits());
  }

  const Way way_;
  const double panic_;
  const OutlierOptions outliers_;
  const std::shared_ptr<Targets> targets_;
  std::atomic<std::uint64_t> turn_{random_bits()};
};

}  // namespace

extern constinit const Part balance =
    part<Balance>("balance", "Chooses the target of each attempt among those that are well.");

}  // namespace plimsoll::client
