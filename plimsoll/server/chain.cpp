#include "plimsoll/server/chain.hpp"

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/after_policy.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/server/complaints.hpp"

#include <algorithm>

namespace plimsoll::policy {
// Each is defined in the file of its name.
extern const Part trace;
extern const Part access_log;
extern const Part measure;
extern const Part security_headers;
extern const Part cors;
extern const Part deprecation;
extern const Part deadline;
extern const Part addresses;
extern const Part budgets;
extern const Part shed;
extern const Part authenticate;
extern const Part rate_limit;
extern const Part authorize;
extern const Part validate;
extern const Part compression;
extern const Part conditional;
extern const Part fields;
extern const Part fallback;
extern const Part read_your_writes;
extern const Part cache;
extern const Part responses;
extern const Part idempotency;
extern const Part after;
extern const Part settle;
}  // namespace plimsoll::policy

namespace plimsoll::server {

using enum Reach;

// The one order in which policies stand. A new policy is its own file and one row here.
constexpr Row kChain[] = {
    {&policy::trace, everything, "first: every line and every answer that follows carries its ids"},
    {&policy::access_log, everything, "refusals are logged like any other answer"},
    {&policy::measure, everything, "rejections are measured like any other answer"},
    {&policy::security_headers, everything, "on every answer, refusals too"},
    {&policy::cors, everything,
     "before authentication: a preflight carries no credentials, and a refusal must be readable to the page"},
    {&policy::deprecation, operations, "refusals tell as well that the operation is deprecated, and what replaces it"},
    {&policy::deadline, everything, "before anything that may wait"},
    {&policy::budgets, undeclared, "before anything that spends one"},
    {&policy::addresses, documents, "a refused network costs nothing more than this, and sees nothing of the API"},
    {&policy::shed, undeclared, "what cannot be served costs least when it is refused first, before the body is read"},
    {&policy::rate_limit, callers,
     "what is counted by address, before a key is verified: unauthenticated callers cost nothing more than this"},
    {&policy::authenticate, callers, "before anything that depends on the caller, and before the body is read"},
    {&policy::rate_limit, callers,
     "the same again, now that the caller is known: what is counted by caller is counted here"},
    {&policy::deprecation, operations,
     "the same again, now that the caller is known: who still calls is counted, and what has ended is refused, before "
     "anything is spent on it"},
    {&policy::authorize, undeclared,
     "after the caller's limit, so that probing counts; before anything tells of the schema"},
    {&policy::validate, operations,
     "behind all that knows callers: unauthenticated callers learn nothing of the schema; before all that stores: a "
     "failure occupies no key"},
    {&policy::compression, everything,
     "around all that changes a body; a cached one brings its encodings along, so that it is compressed once"},
    {&policy::conditional, operations, "around the cache, whose hits are confirmed like any other answer"},
    {&policy::fields, operations, "just around the answer: what is cached and validated is whole"},
    {&policy::fallback, operations,
     "around the cache, whose stale response is preferred, and outside of all that stores: what is given instead is "
     "never "
     "kept"},
    {&policy::read_your_writes, operations,
     "around the cache, which must not show less than a request names, and around what commits, behind which is known "
     "how far was written"},
    {&policy::cache, undeclared,
     "behind authorization and validation: a cached answer cannot leak past them; before the work it saves"},
    {&policy::responses, operations,
     "behind the cache: a stored response has been validated, and is not validated twice; within the selection of "
     "fields: what it looks at is whole"},
    {&policy::idempotency, operations,
     "behind all refusals: what was refused never occupies a key; before the handler, whose transaction it joins"},
    {&policy::after, operations, "joins the transaction of what it follows"},
    {&policy::settle, operations, "commits what handler and policies wrote, before the answer leaves"},
    {&policy::budgets, operations,
     "the same again, just around the handler: a response that is too large commits nothing and is not kept"},
};

namespace {

std::vector<Row>& all_rows() {
  static std::vector<Row> all(std::begin(kChain), std::end(kChain));
  return all;
}

}  // namespace

std::span<const Row> rows() { return all_rows(); }

Result<> add_row(const Part& part, Side side, std::string_view beside) {
  auto& all = all_rows();
  for (const auto& row : all) {
    if (row.part == &part) return {};
    if (row.part->key.name == part.key.name)
      return fail(config::kConfiguration,
                  "the program brings a policy `" + std::string(part.key.name) + "`, and there is one of that name");
  }
  const auto named = [&](const Row& row) { return row.part->key.name == beside; };
  // Where one appears twice: before its first place, after its last.
  const auto first = std::ranges::find_if(all, named);
  if (first == all.end()) {
    std::string names;
    for (const auto& row : all)
      if (!names.contains("`" + std::string(row.part->key.name) + "`"))
        names += (names.empty() ? "`" : ", `") + std::string(row.part->key.name) + "`";
    return fail(config::kConfiguration, "the program puts its policy `" + std::string(part.key.name) + "` beside `" +
                                            std::string(beside) + "`, which is none of " + names);
  }
  auto place = first;
  if (side == Side::after) place = std::find_if(all.rbegin(), all.rend(), named).base();
  all.insert(place, Row{&part, Reach::operations, "the program has put it here"});
  return {};
}

Result<Chain> chain(Handler& handler, const Build& build, Reach reach, Handler* beside) {
  Chain made{.importance = reach >= undeclared ? Importance::unbounded : Importance::first};
  const auto all = rows();
  AfterPolicy* before = nullptr;
  for (std::size_t at = 0; at < all.size(); ++at) {
    const auto& row = all[at];
    if (row.reach > reach) continue;
    auto at_its_place = build;
    at_its_place.place = static_cast<unsigned>(
        std::ranges::count_if(all.first(at), [&](const Row& before) { return before.part == row.part; }));
    at_its_place.settings = build.operation.extension(row.part->key.name);
    auto policy = row.part->build(*row.part, at_its_place.settings, at_its_place);
    if (!policy) {
      auto error = std::move(policy).error();
      const auto name = std::string(row.part->key.name);
      if (config::located(error.detail).at.line)
        error.detail = config::preceded("`" + name + "`: ", error.detail);  // the place says the rest
      else
        error.detail = "operation " + build.operation.id + ", policy " + name + ": " + error.detail;
      point_to_key(error, name, at_its_place.settings);
      return std::unexpected(std::move(error));
    }
    if (!*policy) continue;
    // What stands beside has links of its own, and shares with none.
    auto* const after = row.reach == everything ? nullptr : dynamic_cast<AfterPolicy*>(policy->get());
    if (before && after)
      before->followed_by(*after);
    else
      made.links.push_back((*policy)->link());
    before = after;
    if (beside && row.reach == everything) made.beside.push_back((*policy)->link());
    if (reach >= undeclared) made.importance = std::max(made.importance, (*policy)->importance());
    made.policies.push_back(std::move(*policy));
  }
  made.links.push_back({.handler = &handler});
  if (beside) made.beside.push_back({.handler = beside});
  made.policies.shrink_to_fit();  // there is one chain for each operation, and it stays as it is
  made.links.shrink_to_fit();
  made.beside.shrink_to_fit();
  return made;
}

}  // namespace plimsoll::server
