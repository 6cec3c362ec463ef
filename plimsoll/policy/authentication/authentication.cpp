#include "plimsoll/base/hash.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/exchange/cross_site.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/problems.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/policy/authentication/credential.hpp"
#include "plimsoll/policy/authentication/verifiers.hpp"
#include "plimsoll/policy/rate_limit/client_key.hpp"
#include "plimsoll/policy/rate_limit/limit_table.hpp"

#include <algorithm>

namespace plimsoll::policy {
namespace {

constexpr Problem kInvalid{"invalid-credentials", 401, "The credentials are not valid",
                           "Get a new token or key and repeat the request."};
constexpr Problem kNoKeys{"keys-unavailable", 503, "Tokens cannot be verified yet",
                          "Repeat the request after Retry-After: the keys of the issuer are being fetched.", true};
constexpr Problem kThrottled{"authentication-throttled", 429, "Too many invalid credentials",
                             "Wait for the seconds in Retry-After, and correct the credentials first.", true};

constexpr std::size_t kMostSchemes = 8;

/// Verifications that an address past its limit of failures still has. Callers behind one address share it with whoever
/// sends bad credentials from there: a limit of failures alone would lock all of them out.
constexpr Rate kVerifications{.limit = 200, .period = kSecond, .burst = 200};

/// A security scheme the operation names, and who verifies it.
struct SchemeVerifier {
  const contract::SecurityScheme* scheme;
  Verifier verifier;
};

/// What one exchange has shown so far.
struct Attempt {
  std::string_view shown[kMostSchemes]{};   ///< the credential of each scheme; empty: none
  const Identity* vouched[kMostSchemes]{};  ///< whom each vouches for; null: nobody
  std::string_view fault{};                 ///< of the first bad one
  bool faulty_token = false;                ///< that one is a token
  std::uint64_t faulty = 0;                 ///< a hash of that one
  bool any = false;
};

std::string challenge(const contract::SecurityScheme& scheme, const std::string& realm) {
  if (scheme.type != "apiKey") return "Bearer realm=\"" + realm + "\"";
  static constexpr std::string_view kPlaces[] = {"path", "query", "header", "cookie"};
  return "ApiKey realm=\"" + realm + "\", in=\"" + std::string(kPlaces[static_cast<std::size_t>(scheme.in)]) +
         "\", name=\"" + scheme.parameter + "\"";
}

/// What both shapes of the policy share: the schemes of an operation and the rules of accepting a credential of theirs.
class SchemeVerifiers {
 public:
  static Result<std::shared_ptr<SchemeVerifiers>> make(const Build& build) {
    auto made = std::make_shared<SchemeVerifiers>(build);
    for (const auto& requirement : build.operation.security)
      for (const auto& needed : requirement.all) {
        if (made->index_of(needed.scheme) < made->schemes_.size()) continue;
        if (made->schemes_.size() == kMostSchemes)
          return fail(config::kConfiguration, "more than 8 security schemes for one operation");
        auto verifier = verifier_of(*needed.scheme, build.contract, build.services);
        if (!verifier) return std::unexpected(std::move(verifier).error());
        made->schemes_.push_back({needed.scheme, std::move(*verifier)});
      }
    auto failures = failures_allowed(build.services.deployment);
    if (!failures) return std::unexpected(std::move(failures).error());
    if (*failures) made->failures_ = Rate{(*failures)->limit, (*failures)->per.nanoseconds, (*failures)->limit};
    std::string realm;
    for (const char c : build.contract.title)
      if (c >= ' ' && c <= '~' && c != '"' && c != '\\') realm += c;
    made->guards_cookies_ = !http::is_safe(build.operation.method) &&
                            std::ranges::any_of(made->schemes_, is_cookie, &SchemeVerifier::scheme);
    for (const auto& each : made->schemes_) {
      if (!made->challenge_.empty()) made->challenge_ += ", ";
      if (each.verifier.tokens)
        made->token_challenge_ = made->challenge_.size() + challenge(*each.scheme, realm).size();
      made->challenge_ += challenge(*each.scheme, realm);
    }
    return made;
  }
  explicit SchemeVerifiers(const Build& build)
      : operation_(build.operation), table_(build.services.shared->of<LimitTable>()) {}

  bool look_up_keys() const {
    return std::ranges::any_of(schemes_, [](const SchemeVerifier& each) { return each.verifier.keys != nullptr; });
  }

  /// Everything that can be judged where it stands. A credential that must be looked up is left in `shown` unvouched.
  Result<> begin(const Request& request, Context& context, Attempt& attempt) const {
    for (std::size_t i = 0; i < schemes_.size(); ++i) {
      attempt.shown[i] = credential(*schemes_[i].scheme, request);
      attempt.any |= !attempt.shown[i].empty();
    }
    if (!attempt.any) return {};
    if (failures_ && !table_->peek(failure_key(request, context), *failures_, context.now).allowed)
      if (auto admitted = admit_strangers(request, context, attempt); !admitted) return admitted;
    for (std::size_t i = 0; i < schemes_.size(); ++i) {
      if (attempt.shown[i].empty()) continue;
      if (const auto& tokens = schemes_[i].verifier.tokens; tokens && tokens->lacks_keys()) return no_keys();
      if (schemes_[i].verifier.tokens)
        judge_token(i, context, attempt);
      else
        judge_key(i, context, attempt);
    }
    return {};
  }

  /// The key behind scheme `i` must be looked up in the database; else it is judged already.
  bool pending(const Attempt& attempt, std::size_t i) const {
    return schemes_[i].verifier.keys && !attempt.shown[i].empty() && !attempt.vouched[i];
  }
  bool pending(const Attempt& attempt) const {
    for (std::size_t i = 0; i < schemes_.size(); ++i)
      if (pending(attempt, i)) return true;
    return false;
  }

  Task<Result<>> look_up(Context& context, Attempt& attempt) const {
    for (std::size_t i = 0; i < schemes_.size(); ++i) {
      if (!pending(attempt, i)) continue;
      auto& keys = *schemes_[i].verifier.keys;
      const auto digest = sha256(attempt.shown[i]);
      auto found = co_await keys.table->find(context.loop, digest, keys.roles, context.wall);
      if (!found) co_return std::unexpected(std::move(found).error());
      if (*found) {
        keys.cache.put(attempt.shown[i], *found, context.now);
        vouch(i, *found, context, attempt);
      } else {
        keys.cache.forget(attempt.shown[i]);
        fault(i, "the key is unknown, revoked or expired", attempt);
      }
    }
    co_return Result<>{};
  }

  /// Passes with a principal, or without one where the contract lets anybody in; else 401.
  Result<> finish(const Request& request, Context& context, const Attempt& attempt, bool enforced) const {
    const contract::SecurityRequirement* through = nullptr;
    bool granted = false, anybody = false, blocked = false;
    const bool distrusts = guards_cookies_ && attempt.any && !context.noted<AllowedOrigin>() && is_cross_site(request);
    for (const auto& requirement : operation_.security) {
      anybody |= requirement.all.empty();
      if (requirement.all.empty() || !std::ranges::all_of(requirement.all, [&](auto& needed) {
            return attempt.vouched[index_of(needed.scheme)] != nullptr;
          }))
        continue;
      if (distrusts && std::ranges::any_of(requirement.all, [](auto& needed) { return is_cookie(needed.scheme); })) {
        blocked = true;
        continue;
      }
      const bool all_scopes = std::ranges::all_of(requirement.all, [&](auto& needed) {
        return std::ranges::all_of(
            needed.scopes, [&](auto& scope) { return grants(*attempt.vouched[index_of(needed.scheme)], scope); });
      });
      if (!through || (all_scopes && !granted)) through = &requirement, granted = all_scopes;
    }
    if (through) {
      admit(*through, context, attempt);
      return {};
    }
    if (blocked) return fail(kCrossSite);
    if (anybody && attempt.fault.empty()) return {};
    return refuse(request, context, attempt, enforced);
  }

 private:
  static bool is_cookie(const contract::SecurityScheme* scheme) {
    return scheme->type == "apiKey" && scheme->in == contract::In::cookie;
  }
  std::size_t index_of(const contract::SecurityScheme* scheme) const {
    return static_cast<std::size_t>(std::ranges::find(schemes_, scheme, &SchemeVerifier::scheme) - schemes_.begin());
  }
  std::uint64_t failure_key(const Request& request, Context& context) const {
    return mixed(client_key(request, context), 0xfa11ed);
  }

  /// A credential that was verified before, and still holds as far as that is known without asking.
  bool remembered(std::size_t i, std::string_view shown, const Context& context) const {
    const auto& verifier = schemes_[i].verifier;
    if (verifier.tokens) return verifier.tokens->knows(shown, context.wall);
    auto& keys = *verifier.keys;
    return keys.cache.knows(shown, context.wall) ||
           (!keys.development.empty() && equal_in_constant_time(shown, keys.development));
  }
  /// Past the limit of failures: what is remembered is served, anything else is verified as often as kVerifications
  /// says.
  Result<> admit_strangers(const Request& request, Context& context, const Attempt& attempt) const {
    for (std::size_t i = 0; i < schemes_.size(); ++i) {
      if (attempt.shown[i].empty() || remembered(i, attempt.shown[i], context)) continue;
      const auto taken = table_->take(mixed(client_key(request, context), 0x7e51f1), kVerifications, context.now);
      if (!taken.allowed) return throttled(taken);
    }
    return {};
  }

  void vouch(std::size_t i, const IdentityPointer& identity, Context& context, Attempt& attempt) const {
    context.keep<IdentityPointer>(identity);  // the principal is made of views
    attempt.vouched[i] = identity.get();
  }
  void fault(std::size_t i, std::string_view what, Attempt& attempt) const {
    if (attempt.fault.empty()) {
      attempt.fault = what;
      attempt.faulty = hash64(attempt.shown[i]);
      attempt.faulty_token = schemes_[i].verifier.tokens != nullptr;
    }
    attempt.shown[i] = {};
  }

  void judge_token(std::size_t i, Context& context, Attempt& attempt) const {
    auto identity = schemes_[i].verifier.tokens->verify(attempt.shown[i], context.wall);
    if (identity)
      vouch(i, *identity, context, attempt);
    else
      fault(i, sentence_of(identity.error()), attempt);
  }

  void judge_key(std::size_t i, Context& context, Attempt& attempt) const {
    auto& keys = *schemes_[i].verifier.keys;
    const auto text = attempt.shown[i];
    // What is remembered has its checksum, and need not be digested.
    if (const auto known = keys.cache.find(text, context.now, context.wall)) return vouch(i, known, context, attempt);
    if (!looks_like_api_key(text)) return fault(i, "the key is mistyped", attempt);
    if (!keys.development.empty() && equal_in_constant_time(text, keys.development))
      return vouch(i, keys.developer, context, attempt);
    if (!keys.table) fault(i, "the key is unknown", attempt);
  }

  void admit(const contract::SecurityRequirement& through, Context& context, const Attempt& attempt) const {
    auto* by = context.arena.array<Vouched::By>(schemes_.size());
    std::size_t count = 0;
    for (std::size_t i = 0; i < schemes_.size(); ++i)
      if (const auto* who = attempt.vouched[i])
        by[count++] = {schemes_[i].scheme, who->principal(schemes_[i].scheme->name)};
    context.note<Vouched>(std::span<const Vouched::By>(by, count));
    const auto who = [&](const auto& needed) -> const Identity& { return *attempt.vouched[index_of(needed.scheme)]; };
    auto& principal = context.arena.make<Principal>(who(through.all[0]).principal(through.all[0].scheme->name));
    if (through.all.size() > 1) {  // several vouch together: what each grants, the caller has
      std::size_t scopes = 0;
      for (const auto& needed : through.all) scopes += who(needed).scope_views.size();
      auto* all = context.arena.array<std::string_view>(scopes);
      auto* at = all;
      for (const auto& needed : through.all) at = std::ranges::copy(who(needed).scope_views, at).out;
      principal.scopes = {all, at};
      principal.grants_key = {};
    }
    context.principal = &principal;
  }

  Result<> refuse(const Request& request, Context& context, const Attempt& attempt, bool enforced) const {
    if (attempt.fault.empty()) {
      if (enforced) context.promise("www-authenticate", lasting(challenge_));
      return fail(kUnauthenticated);
    }
    if (failures_) {
      table_->take(failure_key(request, context), *failures_, context.now);
      // By the credential too, after it was verified: no valid one is ever refused for its failures.
      const auto left = table_->take(mixed(attempt.faulty, 0xbadc0de), *failures_, context.now);
      if (!left.allowed) return throttled(left);
    }
    if (enforced) {
      auto text = challenge_;
      if (token_challenge_ && attempt.faulty_token)  // RFC 6750, section 3
        text.insert(token_challenge_,
                    ", error=\"invalid_token\", error_description=\"" + std::string(attempt.fault) + "\"");
      context.promise("www-authenticate", context.kept(text));
    }
    return fail(kInvalid, std::string(attempt.fault));
  }

  /// No fault of the caller's, who is not counted among those with bad credentials.
  static Result<> no_keys() {
    Error error{&kNoKeys};
    error.more().retry_after = 5;
    return std::unexpected(std::move(error));
  }
  static Result<> throttled(const RateDecision& left) {
    Error error{&kThrottled};
    error.more().retry_after = std::max<std::int64_t>((left.retry_after + kSecond - 1) / kSecond, 1);
    return std::unexpected(std::move(error));
  }

  static std::string_view sentence_of(JwtFault fault) {
    switch (fault) {
      case JwtFault::too_large: return "the token is too large";
      case JwtFault::malformed: return "the token is malformed";
      case JwtFault::algorithm_not_allowed: return "the token's algorithm is not allowed";
      case JwtFault::critical_extension: return "the token needs an extension that is not understood";
      case JwtFault::unknown_key: return "the token is signed by an unknown key";
      case JwtFault::bad_signature: return "the token's signature is wrong";
      case JwtFault::bad_claims: return "the token's claims are malformed";
      case JwtFault::no_expiry: return "the token never expires";
      case JwtFault::expired: return "the token has expired";
      case JwtFault::not_yet_valid: return "the token is not valid yet";
      case JwtFault::wrong_issuer: return "the token is from another issuer";
      case JwtFault::wrong_audience: return "the token is for another audience";
    }
    return "the token is not valid";
  }

  const contract::Operation& operation_;
  std::vector<SchemeVerifier> schemes_;
  std::optional<Rate> failures_;
  std::shared_ptr<LimitTable> table_;
  std::string challenge_;
  bool guards_cookies_ = false;      ///< the operation changes something, and a cookie may vouch for it
  std::size_t token_challenge_ = 0;  ///< where in it an error of a token goes; 0: nowhere
};

/// Finds out who asks. Tokens are judged where they stand.
class AuthenticateTokens final : public Check {
 public:
  explicit AuthenticateTokens(std::shared_ptr<SchemeVerifiers> schemes) : schemes_(std::move(schemes)) {}
  Result<> check(Request& request, Context& context) override {
    Attempt attempt;
    if (auto begun = schemes_->begin(request, context, attempt); !begun) return begun;
    return schemes_->finish(request, context, attempt, mode() == Mode::enforce);
  }

 private:
  std::shared_ptr<SchemeVerifiers> schemes_;
};

/// The same where keys are looked up in the database: waits only for one that was not met lately.
class AuthenticateKeys final : public Policy {
 public:
  explicit AuthenticateKeys(std::shared_ptr<SchemeVerifiers> schemes) : schemes_(std::move(schemes)) {}
  PLIMSOLL_FORWARDS Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto& attempt = context.arena.make<Attempt>();
    auto begun = schemes_->begin(request, context, attempt);
    if (begun && schemes_->pending(attempt)) return wait(request, context, attempt, next);
    return pass(std::move(begun), request, context, attempt, next);
  }

 private:
  Task<Result<Response>> wait(Request& request, Context& context, Attempt& attempt, Next next) {
    auto looked_up = co_await schemes_->look_up(context, attempt);
    // A database that is gone is no fault of the caller's, and nothing that `shadow` could let pass.
    if (!looked_up) co_return std::unexpected(std::move(looked_up).error());
    auto answer = co_await pass(std::move(looked_up), request, context, attempt, next);
    co_return answer;
  }

  PLIMSOLL_FORWARDS Task<Result<Response>> pass(Result<> verdict, Request& request, Context& context,
                                                const Attempt& attempt, Next next) {
    if (verdict) verdict = schemes_->finish(request, context, attempt, mode() == Mode::enforce);
    if (!verdict && refuses(context, verdict.error())) return refuse(std::move(verdict).error());
    return next(request, context);
  }
  std::shared_ptr<SchemeVerifiers> schemes_;
};

/// What `authentication` of a deployment holds beside the schemes by their names.
struct SectionOptions {
  config::Raw failures = nullptr, bearer = nullptr, api_key = nullptr;
};
constexpr config::Field kSectionFields[] = {
    config::shaped(
        config::field<&SectionOptions::failures>(
            "failures", "How many failed authentications an address may have before more are rejected; or `off`."),
        R"("type":"string","pattern":"^(off|[0-9]+/(second|minute|hour|day|[0-9]+(ms|s|m|h|d)))$")", "10/minute"),
    config::object_of<TokenOptions>(config::field<&SectionOptions::bearer>(
                                        "bearer", "Applies to every token scheme that does not have its own section."),
                                    kTokenFields),
    config::shaped(config::field<&SectionOptions::api_key>(
                       "api-key", "Applies to every API key scheme that does not have its own section."),
                   R"("type":"object")", "{}"),
};

/// Finds out who asks, by the security schemes of the contract: tokens and API keys in all their combinations.
struct Authenticate {
  struct Options {};
  static void describe(const Options&, const Description& description, contract::Promises& promises) {
    const auto& operation = description.operation;
    if (operation.security.empty() || description.mock) return;
    promises.refuses(kUnauthenticated);
    promises.refuses(kInvalid);
    promises.refuses(kThrottled);
    promises.sends(contract::kChallenge, contract::only(401));
    const auto any = [&](auto fits) {
      return std::ranges::any_of(operation.security, [&](const auto& requirement) {
        return std::ranges::any_of(requirement.all, [&](const auto& needed) { return fits(*needed.scheme); });
      });
    };
    if (any([](const auto& scheme) { return scheme.type != "apiKey"; })) promises.refuses(kNoKeys);
    if (!http::is_safe(operation.method) &&
        any([](const auto& scheme) { return scheme.type == "apiKey" && scheme.in == contract::In::cookie; }))
      promises.refuses(kCrossSite);
  }
  static constexpr std::span<const config::Field> fields{};
  static constexpr std::string_view example = "{mode: shadow}";
  static constexpr const Problem* problems[] = {&kUnauthenticated, &kInvalid, &kThrottled, &kNoKeys, &kCrossSite};
  static constexpr config::Section deployment[] = {
      {.key = {.name = "authentication",
               .sentence = "How credentials are verified, by security scheme of the contract.",
               .fields = kSectionFields,
               .defaults = config::defaults_of<SectionOptions>,
               .example = "{bearer: {issuer: 'https://id.example.com/', audience: shop, jwks: "
                          "'https://id.example.com/jwks.json'}}",
               .entries = []() -> std::span<const config::Field> { return kTokenFields; },
               .entry_defaults = config::defaults_of<TokenOptions>}},
      {.key = {.name = "roles",
               .sentence = "Roles and the scopes each has.",
               .example = "{support: ['orders:read'], admin: ['*']}",
               .entries = []() -> std::span<const config::Field> { return {}; },
               .entry_schema = config::Form<std::vector<std::string>>::schema}}};
  static Result<> check_documents(std::span<const contract::Contract* const> contracts, const json::Value* deployment) {
    return check_authentication(contracts, deployment);
  }
  static Result<std::unique_ptr<Policy>> build(Options, const Build& build) {
    if (build.operation.security.empty() || build.services.mock) return nullptr;
    auto schemes = SchemeVerifiers::make(build);
    if (!schemes) return std::unexpected(std::move(schemes).error());
    if ((*schemes)->look_up_keys()) return std::make_unique<AuthenticateKeys>(std::move(*schemes));
    return std::make_unique<AuthenticateTokens>(std::move(*schemes));
  }
};

}  // namespace

extern constinit const Part authenticate =
    part<Authenticate>("authentication", "Authenticates the caller, by the security schemes of the contract.");

}  // namespace plimsoll::policy
