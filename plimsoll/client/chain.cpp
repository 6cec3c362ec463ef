#include "plimsoll/client/chain.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/json/write.hpp"

namespace plimsoll::client {

// Each is defined in the file of its name.
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
    {&trace, "first: all attempts of a call carry one trace"},
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

Result<Plan> plan(Handler& wire, const json::Value* options, const Build& build) {
  Plan made;
  // The limits of the other side are of a service and the credential that it is shown.
  auto of_credential = build;
  auto name = std::string(build.service);
  const auto* credential = options && options->is(json::Type::object) ? options->find("authentication") : nullptr;
  if (credential) name += ' ' + std::to_string(content_hash(json::to_string(*credential)).low);
  // Without a credential of ours what it tells of may be the limit of one of our callers: no other is held to it.
  of_credential.resilient = build.resilient && credential;
  of_credential.shared = build.shared->of<Kept<Shared>>()->of(name);
  for (const auto& row : kChain) {
    const auto* own = options && options->is(json::Type::object) ? options->find(row.part->key.name) : nullptr;
    auto policy = row.part->build(own, row.part == &quota ? of_credential : build);
    if (!policy) return std::unexpected(std::move(policy).error());
    if (!*policy) continue;
    made.links.push_back((*policy)->link());
    made.policies.push_back(std::move(*policy));
  }
  made.links.push_back({.handler = &wire});
  return made;
}

}  // namespace plimsoll::client
