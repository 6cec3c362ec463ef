#include "plimsoll/client/chain.hpp"

#include "plimsoll/client/gate.hpp"

namespace plimsoll::client {

// Each is defined in the file of its name.
extern const Part cache;
extern const Part trace;
extern const Part metrics;
extern const Part timeout;
extern const Part retry;
extern const Part hedge;
extern const Part concurrency;
extern const Part quota;
extern const Part breaker;
extern const Part balance;
extern const Part authentication;

namespace {

// The one order in which policies stand around a call. A new policy is its own file and one row here.
constexpr Row kChain[] = {
    {&cache,
     "first: what is stored needs no call; what is asked for is a call of its own, with trace, measure and limits of "
     "time, which others may wait for"},
    {&trace, "before all attempts: those of a call carry one trace"},
    {&metrics, "around everything that may fail or wait: what is measured is what the caller sees"},
    {&timeout, "around all attempts: repetitions do not prolong a call"},
    {&retry, "around everything that is repeated for each attempt; its back-off holds no permit and no target"},
    {&hedge, "each attempt that takes long may be sent twice; both hold a permit and a target of their own"},
    {&concurrency, "before the breaker, which judges the service and not what is refused here"},
    {&quota,
     "each attempt counts at the called service; a wait is no slowness of the service, which the breaker judges"},
    {&breaker,
     "each attempt is counted, and an open circuit ends the retries; before a target is chosen, so that a refusal "
     "costs none"},
    {&balance, "each attempt has a target of its own, and what comes of it is the target's"},
    {&authentication, "last before the wire: each attempt carries a credential that is good now"},
};

}  // namespace

std::span<const Row> rows() { return kChain; }

std::span<const std::string_view> keys() {
  static const auto all = [] {
    std::vector<std::string_view> names;
    for (const auto& row : kChain) names.push_back(row.part->key.name);
    return names;
  }();
  return all;
}

Result<Plan> plan(Handler& wire, const json::Value* options, Build build, std::unique_ptr<Policy> outermost) {
  Plan made;
  const auto said = [&](std::string_view key) {
    return options && options->is(json::Type::object) ? options->find(key) : nullptr;
  };
  build.credential = said("authentication");
  Gate* before = nullptr;
  const auto add = [&](std::unique_ptr<Policy> policy) {
    auto* const gate = dynamic_cast<Gate*>(policy.get());
    if (before && gate)
      before->followed_by(*gate);
    else
      made.links.push_back(policy->link());
    before = gate;
    made.policies.push_back(std::move(policy));
  };
  if (outermost) add(std::move(outermost));
  for (const auto& row : kChain) {
    auto policy = row.part->build(said(row.part->key.name), build);
    if (!policy) return std::unexpected(std::move(policy).error());
    if (*policy) add(std::move(*policy));
  }
  made.links.push_back({.handler = &wire});
  return made;
}

}  // namespace plimsoll::client
