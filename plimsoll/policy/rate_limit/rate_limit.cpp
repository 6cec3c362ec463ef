#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/field_block.hpp"
#include "plimsoll/policy/authentication/credential.hpp"
#include "plimsoll/policy/rate_limit/client_key.hpp"
#include "plimsoll/policy/rate_limit/limit.hpp"
#include "plimsoll/policy/rate_limit/limit_table.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <unordered_map>

namespace plimsoll::policy {
namespace {

constexpr Problem kRateLimited{
    "rate-limited", 429, "Too many requests",
    "Wait for the seconds in Retry-After; the RateLimit header says how many units are left.", true};

constexpr std::string_view kNumber = R"({"type":"integer","minimum":0})";
constexpr contract::HeaderField kHeaders[] = {
    {"RateLimit-Policy", "The limits in force: `\"caller\";q=1000;w=60` are 1,000 requests in 60 seconds."},
    {"RateLimit", "Of the limit that leaves the least: `r` requests are left, and in `t` seconds there are more."},
    {"X-RateLimit-Limit", "Requests that the limit allows.", kNumber},
    {"X-RateLimit-Remaining", "Requests that are left.", kNumber},
    {"X-RateLimit-Reset", "When there are more, in Unix seconds.", kNumber}};

/// What the limits have taken for an exchange, over both places in the chain: noted in its context.
struct Charges {
  struct One {
    const Limit* limit;
    const Allowance* allowance;
    std::uint64_t key;
    std::int64_t taken;
    RateDecision decision;
  };
  /// What is sent to the client: of all of them, and of the one that leaves the least.
  struct LimitHeaders final : LateFields {
    const Charges* charges = nullptr;
    const One* tightest = nullptr;  ///< null: nothing is promised yet
    Nanoseconds wall = 0;
    Header values[5];
    void write(Arena&) override;
  };
  LimitHeaders headers;
  One all[2 * kMostLimits];  // a kilobyte of which little is used: not cleared for every request
  std::size_t count = 0;
  Charges() {}

  void give_back(LimitTable& table, std::size_t from = 0) {
    for (std::size_t i = from; i < count; ++i)
      if (const auto taken = std::exchange(all[i].taken, 0)) table.give_back(all[i].key, all[i].allowance->rate, taken);
  }
};

std::int64_t in_seconds(Nanoseconds span) { return (span + kSecond - 1) / kSecond; }

/// `t` of the RateLimit header: until all is back, or, when nothing is left, until something is.
std::int64_t seconds_left(const RateDecision& decision) {
  if (!decision.allowed) return std::max<std::int64_t>(in_seconds(decision.retry_after), 1);
  return in_seconds(decision.remaining > 0 ? decision.reset_after : decision.next_after);
}

/// As they are sent. All they consist of are numbers and what was looked at when the contract was read.
void Charges::LimitHeaders::write(Arena& arena) {
  constexpr std::size_t kOtherLines = 256;  // names of the fields, and numbers
  auto room = kOtherLines + tightest->limit->name.size();
  for (std::size_t i = 0; i < charges->count; ++i) room += charges->all[i].allowance->policy.size() + 2;
  ArenaText text{arena, room};
  auto* field = values;
  std::size_t from = 0;
  const auto name = [&](std::string_view line) {  // `\r\nname: `
    text << line;
    field->name = line.substr(2, line.size() - 4);
    from = text.text().size();
  };
  const auto end = [&] { field++->value = text.text().substr(from); };

  name("\r\nratelimit-policy: ");
  for (std::size_t i = 0; i < charges->count; ++i) {
    if (i > 0) text << ", ";
    text << charges->all[i].allowance->policy;
  }
  end();
  const auto seconds = seconds_left(tightest->decision);
  name("\r\nratelimit: ");
  text << "\"" << tightest->limit->name << "\";r=";
  const auto number = text.text().size();
  text << tightest->decision.remaining;
  const auto remaining = text.text().substr(number);
  text << ";t=" << seconds;
  end();
  name("\r\nx-ratelimit-remaining: ");
  text << remaining;
  end();
  name("\r\nx-ratelimit-limit: ");
  text << tightest->allowance->limit;
  end();
  name("\r\nx-ratelimit-reset: ");
  text << in_seconds(wall) + seconds;
  end();
  lines = text.text();
  fields = values;
  marks = Headers::mark("ratelimit-policy") | Headers::mark("ratelimit") | Headers::mark("x-ratelimit-remaining") |
          Headers::mark("x-ratelimit-limit") | Headers::mark("x-ratelimit-reset");
}

/// Gives the units of an exchange back when its answer turns out to be of a class that costs nothing.
class Refund {
 public:
  Refund(LimitTable& table, std::uint32_t classes, Charges& charges, std::size_t from, const Context& context)
      : table_(table), classes_(classes), charges_(charges), from_(from), context_(context) {}
  ~Refund() {
    if (classes_ & (1u << (context_.outcome.status / 100))) charges_.give_back(table_, from_);
  }

 private:
  LimitTable& table_;
  std::uint32_t classes_;
  Charges& charges_;
  std::size_t from_;
  const Context& context_;
};

std::uint32_t classes_of(std::span<const std::string> words) {
  std::uint32_t classes = 0;
  for (const auto& word : words) classes |= 1u << (word[0] - '0');
  return classes;
}

/// `rate-limit` of the operation's path item, or null.
const json::Value* value_of_path(const contract::Contract& contract, const contract::Operation& operation) {
  const auto* paths = contract.root ? contract.root->find("paths") : nullptr;
  if (!paths) return nullptr;
  for (const auto& [path, item, at] : paths->object()) {
    std::string pointer = "/paths/";
    for (const char c : path) c == '~' ? pointer += "~0" : c == '/' ? pointer += "~1" : pointer += c;
    if (operation.pointer.starts_with(pointer + "/")) return item.at("x-plimsoll", "rate-limit");
  }
  return nullptr;
}

/// The limits that hold for an operation, and the scope they come from. A value that names none (`{cost: 5}`) leaves
/// those of the scope around it.
Result<std::pair<std::vector<Limit>, std::string_view>> limits_around(const RateLimitOptions& options,
                                                                      const contract::Contract& contract,
                                                                      const contract::Operation& operation) {
  std::string_view scope = "document";
  for (const auto& extension : operation.extensions)
    if (extension.key == "rate-limit") scope = extension.scope;
  if (!options.limits.empty()) return std::pair{options.limits, scope};
  const std::pair<const json::Value*, std::string_view> outer[] = {
      {scope == "operation" ? value_of_path(contract, operation) : nullptr, "path"},
      {scope != "document" && contract.root ? contract.root->at("x-plimsoll", "rate-limit") : nullptr, "document"}};
  for (const auto& [value, its] : outer) {
    if (!value) continue;
    const auto mode = Part::mode_of(value);
    if (!mode) return std::unexpected(mode.error());
    if (*mode == Mode::off) return std::pair{std::vector<Limit>{}, its};
    auto read = read_rate_limit(*value);
    if (!read) return std::unexpected(std::move(read).error());
    if (!read->limits.empty()) return std::pair{std::move(read->limits), its};
  }
  return std::pair{default_limits(), std::string_view("document")};
}

/// The same with their identities: a limit that several operations have from one place counts them together.
Result<std::vector<Limit>> limits_in_force(const RateLimitOptions& options, const Build& build) {
  auto found = limits_around(options, build.contract, build.operation);
  if (!found) return std::unexpected(std::move(found).error());
  auto& [limits, scope] = *found;
  for (auto& limit : limits) {
    std::string identity;
    // As the document writes it: the same path of another version, with another base path, counts together.
    if (scope == "path") identity = build.operation.pointer.substr(0, build.operation.pointer.rfind('/'));
    if (scope == "operation" || scope == "undeclared" || limit.per_operation) identity = build.operation.id;
    limit.identity = hash64(identity + '\n' + limit.name);
  }
  return std::move(limits);
}

struct Announced {
  bool done = false;
};
/// A limit in words, for callers: which of them have other limits is not said.
std::string note_of(const Limit& limit, std::int64_t cost) {
  const auto& rate = limit.allowance.rate;
  std::string note = "At most `" + config::to_string(config::Rate{rate.limit, {rate.period}}) + "` for each ";
  switch (limit.by) {
    case By::caller: note += "caller"; break;
    case By::address: note += "address"; break;
    case By::header: note += "value of `" + limit.header + "`"; break;
    case By::stranger: note += "address that sends no credentials"; break;
  }
  if (cost != 1) note += "; this operation counts as " + std::to_string(cost);
  if (!limit.tiers.empty()) note += "; some callers have another limit";
  return note + ".";
}

/// Limits nobody asked for are said aloud, once, to whoever starts the server.
void announce(const Services& services, std::span<const Limit> limits) {
  if (std::ranges::none_of(limits, [](auto& limit) { return limit.by == By::stranger; })) return;
  if (std::exchange(services.of_plan->of<Announced>()->done, true)) return;
  std::string all;
  for (const auto& limit : limits) all += (all.empty() ? "" : ", ") + to_string(limit);
  services.remarks->push_back("plimsoll: default rate limits: " + all +
                              "; `rate-limit` in x-plimsoll says otherwise, `rate-limit: off` removes them");
}

/// Of a plan: operations with the same limits share them.
struct LimitsOfPlan {
  std::unordered_multimap<std::uint64_t, std::shared_ptr<const std::vector<Limit>>> by_identity;  ///< of the first

  std::shared_ptr<const std::vector<Limit>> shared(std::vector<Limit> limits) {
    const auto identity = limits.front().identity;
    for (auto [at, end] = by_identity.equal_range(identity); at != end; ++at)
      if (*at->second == limits) return at->second;
    return by_identity.emplace(identity, std::make_shared<const std::vector<Limit>>(std::move(limits)))->second;
  }
};

/// Counts requests and refuses those above a limit. Stands in two places of the chain: limits by address before
/// anything is known of the caller, limits by caller or header after authentication. All limits are asked before any is
/// charged; what the first place took is given back when the second refuses.
class RateLimit final : public Check {
 public:
  using Options = RateLimitOptions;
  static constexpr std::span<const config::Field> fields = kRateLimitFields;
  static constexpr std::string_view short_form =
      R"("anyOf":[{"type":"string"},{"type":"array","items":{"type":["string","object"]}}])";
  static constexpr std::string_view example = "[100/second by address, 1000/minute by caller]";
  static constexpr const Problem* problems[] = {&kRateLimited};
  static Result<Options> read(const json::Value& from) { return read_rate_limit(from); }

  enum class Place : std::uint8_t { before_authentication, after_authentication };

  RateLimit(Place place, std::shared_ptr<const std::vector<Limit>> limits, const Options& options, const Build& build)
      : place_(place),
        limits_(std::move(limits)),
        cost_(options.cost),
        refunds_(classes_of(options.refund)),
        table_(build.services.shared->of<LimitTable>()),
        operation_(build.operation) {}

  Result<> check(Request& request, Context& context) override {
    auto* charges = context.noted<Charges>();
    if (!charges) charges = &context.note<Charges>();
    const auto first = charges->count;
    for (const auto& limit : *limits_) add(limit, request, context, *charges);
    if (charges->count == 0) return {};
    const bool allowed = charge(*charges, first, context.now);
    const auto& tightest = most_restrictive(*charges, first, allowed);
    auto& headers = charges->headers;
    if (!headers.tightest) context.promise_late(headers);
    headers.charges = charges, headers.tightest = &tightest, headers.wall = context.wall;
    if (!allowed) return refusal(tightest);
    if (refunds_) context.keep<Refund>(*table_, refunds_, *charges, first, context);
    return {};
  }

  static Result<std::unique_ptr<Policy>> build(const Options& options, const Build& build) {
    const auto place = build.place == 0 ? Place::before_authentication : Place::after_authentication;
    auto limits = limits_in_force(options, build);
    if (!limits) return std::unexpected(std::move(limits).error());
    announce(build.services, *limits);
    std::erase_if(*limits, [&](const Limit& limit) {
      if (limit.by == By::stranger) return false;
      return (limit.by == By::address) != (place == Place::before_authentication);
    });
    if (limits->empty()) return nullptr;
    auto shared = build.services.of_plan->of<LimitsOfPlan>()->shared(std::move(*limits));
    return std::make_unique<RateLimit>(place, std::move(shared), options, build);
  }

  static void describe(const Options& options, const Description& description, contract::Promises& promises) {
    const auto found = limits_around(options, description.contract, description.operation);
    if (!found || found->first.empty()) return;
    promises.refuses(kRateLimited);
    for (const auto& field : kHeaders) promises.sends(field);
    if (description.mode != Mode::enforce) return;
    for (const auto& limit : found->first) promises.notes(note_of(limit, options.cost));
  }

 private:
  void add(const Limit& limit, const Request& request, Context& context, Charges& charges) const {
    std::uint64_t who = 0;
    const auto* allowance = &limit.allowance;
    if (const auto* principal = context.principal) {
      allowance = limit.allowance_for(principal->subject, principal->roles);
      if (!allowance) return;
    }
    if (limit.known_only && !context.principal) return;
    if (limit.by == By::stranger) {  // where the first place could not tell, the second does
      const bool before = place_ == Place::before_authentication;
      if (before ? brings_credentials(request) : context.principal || charges.count > 0) return;
    }
    if (const auto value = limit.by == By::header ? request.headers.find(limit.header) : std::string_view{};
        !value.empty())
      who = mixed(hash64(value), 3);
    else if (limit.by == By::caller && context.principal)
      who = caller_key(*context.principal);
    else
      who = client_key(request, context);
    charges.all[charges.count++] = {&limit, allowance, mixed(limit.identity, who), 0, {}};
  }

  /// Whether the request carries what the operation's security would look at; never whether it is any good. Another
  /// `Authorization`, or a cookie of another name, is none: who sends it is a stranger all the same.
  bool brings_credentials(const Request& request) const {
    for (const auto& requirement : operation_.security)
      for (const auto& needed : requirement.all)
        if (!credential(*needed.scheme, request).empty()) return true;
    return false;
  }

  /// Takes from all limits of this place, or from none and not from those of the earlier place either.
  bool charge(Charges& charges, std::size_t first, Nanoseconds now) const {
    bool allowed = true;
    if (charges.count - first > 1)
      for (auto i = first; i < charges.count; ++i) {
        auto& one = charges.all[i];
        one.decision = table_->peek(one.key, one.allowance->rate, now, cost_);
        allowed &= one.decision.allowed;
      }
    for (auto i = first; allowed && i < charges.count; ++i) {
      auto& one = charges.all[i];
      one.decision = table_->take(one.key, one.allowance->rate, now, cost_);
      allowed = one.decision.allowed;  // false: after a peek that allowed it another thread was quicker
      if (allowed) one.taken = cost_;
    }
    if (!allowed) charges.give_back(*table_);
    return allowed;
  }

  static const Charges::One& most_restrictive(const Charges& charges, std::size_t first, bool allowed) {
    const auto* found = &charges.all[allowed ? 0 : first];
    for (const auto* one = found + 1; one < charges.all + charges.count; ++one) {
      const auto &a = one->decision, &b = found->decision;
      const bool tighter = allowed ? a.remaining < b.remaining : a.retry_after > b.retry_after;
      if (tighter) found = one;
    }
    return *found;
  }

  static std::unexpected<Error> refusal(const Charges::One& tightest) {
    const auto seconds = seconds_left(tightest.decision);
    char digits[kMostDigits];
    Error error{&kRateLimited};
    error.detail.reserve(tightest.allowance->refusal.size() + sizeof digits + 3);
    error.detail.append(tightest.allowance->refusal).append(digits, put_digits(digits, seconds)).append(" s.");
    error.more().retry_after = seconds;
    return std::unexpected(std::move(error));
  }

  Place place_;
  const std::shared_ptr<const std::vector<Limit>> limits_;
  std::int64_t cost_;
  std::uint32_t refunds_;
  std::shared_ptr<LimitTable> table_;
  const contract::Operation& operation_;
};

}  // namespace

extern constinit const Part rate_limit = part<RateLimit>("rate-limit",
                                                         "Rejects requests above a limit by caller, address or header, "
                                                         "and reports in each response how many units are left.");

}  // namespace plimsoll::policy
