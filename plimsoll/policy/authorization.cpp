#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/permission.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/policy/authentication/identity.hpp"

#include <algorithm>
#include <iterator>

namespace plimsoll::policy {
namespace {

struct AuthorizationOptions {
  bool any_caller = false;
  std::vector<std::string> roles, scopes;
};

std::string joined(std::span<const std::string> words, std::string_view between) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : std::string(between)) + word;
  return out;
}

/// The rows of the operation's table belong to somebody: whose they are not, does not see them.
bool owned(const Build& build) {
  const auto* table = build.operation.extension("table");
  if (table && table->is(json::Type::object)) table = table->find("name");
  if (!table || !table->is(json::Type::string) || !build.contract.extension) return false;
  const auto* declared = build.contract.extension->at("tables", table->string());
  return declared && (declared->find("owner") || declared->find("tenant"));
}

bool asks_scopes(const contract::SecurityRequirement& requirement) {
  return std::ranges::any_of(requirement.all, [](auto& needed) { return !needed.scopes.empty(); });
}

/// Every way through the operation's security asks for some scope.
bool names_scopes(const contract::Operation& operation) {
  return !operation.security.empty() && std::ranges::all_of(operation.security, asks_scopes);
}

/// Refuses callers who lack the scopes of the contract's security, or a role. An operation that changes something must
/// say whom it is for: a scope, a role, an owner, or `any-caller`.
class Authorize final : public Check {
 public:
  using Options = AuthorizationOptions;
  static constexpr config::Field fields[] = {
      config::field<&Options::roles>("roles", "The caller has one of these roles."),
      config::field<&Options::scopes>("scopes",
                                      "The caller has all of these scopes, in addition to those of `security`."),
  };
  static constexpr std::string_view short_form = R"("const":"any-caller")";
  static constexpr std::string_view example = "{roles: [editor]}";
  static constexpr const Problem* problems[] = {&kForbidden};

  static Result<Options> read(const json::Value& from) {
    Options options;
    if (from.is(json::Type::string) && from.string() == "any-caller") {
      options.any_caller = true;
    } else if (!from.is(json::Type::object)) {
      return config::wrong(from, "`authorization` is any-caller, or an object with `roles` or `scopes`");
    } else if (auto done = config::read(from, fields, &options, kEveryPolicy); !done) {
      return std::unexpected(std::move(done).error());
    }
    return options;
  }

  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build) {
    const auto& operation = build.operation;
    if (build.services.mock) return nullptr;
    const bool asks = !options.roles.empty() || !options.scopes.empty();
    // A webhook's sender is known by its signature, and an example changes nothing.
    const bool exempt = operation.extension("webhook") || operation.extension("mock");
    const auto name = operation.undeclared ? std::string("`undeclared`") : operation.method + " " + operation.path;
    const bool strangers = operation.security.empty() || std::ranges::any_of(operation.security, [](auto& requirement) {
                             return requirement.all.empty();
                           });
    if (operation.undeclared) {
      const auto* said = operation.find_extension("authorization");
      if (strangers && !asks && !(options.any_caller && said->scope == "undeclared"))
        return config::wrong(
            {}, "`undeclared` passes on what the document's `security` lets everybody do, and does not say so",
            "Give the document a `security`, or write `authorization: any-caller` within `undeclared` when everybody "
            "may.");
    } else if (!http::is_safe(operation.method) && !exempt && !options.any_caller && !asks &&
               !names_scopes(operation) && !owned(build))
      return config::wrong({}, name + " changes something and does not say for whom",
                           "Name a scope in its `security`, give its table an `owner`, write `authorization: {roles: "
                           "[ROLE]}`, or `authorization: any-caller` when everybody may.");
    if (asks && operation.security.empty())
      return build.wrong(
          {}, name + " needs roles or scopes and has no `security`",
          "Name the security scheme that authenticates its callers, `security: [{SCHEME: []}]`, or remove "
          "`authorization`.");
    const bool scopes = std::ranges::any_of(operation.security, asks_scopes);
    if (!asks && !scopes) return nullptr;
    return std::make_unique<Authorize>(std::move(options), operation);
  }
  static void describe(const Options& options, const Description& description, contract::Promises& promises) {
    const bool asks = !options.roles.empty() || !options.scopes.empty();
    const bool scopes = std::ranges::any_of(description.operation.security, asks_scopes);
    if (description.mock || (!asks && !scopes)) return;
    promises.refuses(kForbidden);
    promises.sends(contract::kChallenge, contract::only(403));
  }
  Authorize(Options options, const contract::Operation& operation)
      : options_(std::move(options)), operation_(operation) {
    for (const auto& requirement : operation.security)
      for (const auto& needed : requirement.all)
        if (needed.scheme->type != "apiKey") bearer_ = true;
  }

  Result<> check(Request&, Context& context) override {
    if (!let_through(context)) return refuse_scopes(context);
    if (const auto* caller = context.principal;
        std::ranges::any_of(options_.scopes, [&](auto& scope) { return !caller || !grants(*caller, scope); })) {
      if (bearer_) challenge(context, options_.scopes);
      std::vector<std::string> missing;
      std::ranges::copy_if(options_.scopes, std::back_inserter(missing),
                           [&](auto& scope) { return !caller || !grants(*caller, scope); });
      return refuse(missing, "the scope ");
    }
    if (!options_.roles.empty() && !has_role(context.principal)) {
      if (bearer_) challenge(context, {});
      return refuse(options_.roles, "one of the roles ");
    }
    return {};
  }

 private:
  /// One of the alternatives holds, with all its scopes.
  bool let_through(Context& context) const {
    const auto* vouched = context.noted<Vouched>();
    return operation_.security.empty() || std::ranges::any_of(operation_.security, [&](auto& requirement) {
             return std::ranges::all_of(requirement.all, [&](auto& needed) {
               const auto* principal = vouched ? vouched->find(needed.scheme) : nullptr;
               return principal &&
                      std::ranges::all_of(needed.scopes, [&](auto& scope) { return grants(*principal, scope); });
             });
           });
  }
  bool has_role(const Principal* principal) const {
    return principal && std::ranges::any_of(options_.roles, [&](const std::string& role) {
             return std::ranges::find(principal->roles, role) != principal->roles.end();
           });
  }

  /// Names what is missing on the way that the caller came: others do not concern them.
  Result<> refuse_scopes(Context& context) const {
    const auto* vouched = context.noted<Vouched>();
    const auto stands = [&](const contract::SecurityRequirement& requirement) {
      return !requirement.all.empty() && std::ranges::all_of(requirement.all, [&](auto& needed) {
        return vouched && vouched->find(needed.scheme);
      });
    };
    auto way = std::ranges::find_if(operation_.security, stands);
    if (way == operation_.security.end()) way = operation_.security.begin();  // authentication is off, or only looks
    std::vector<std::string> missing;
    for (const auto& needed : way->all) {
      const auto before = missing.size();
      const auto* principal = vouched ? vouched->find(needed.scheme) : nullptr;
      for (const auto& scope : needed.scopes)
        if (!principal || !grants(*principal, scope))
          missing.push_back(way->all.size() > 1 ? scope + " by " + needed.scheme->name : scope);
      if (missing.size() > before && needed.scheme->type != "apiKey") challenge(context, needed.scopes);
    }
    return missing.empty() ? fail(kForbidden) : refuse(missing, "the scope ");
  }
  /// RFC 6750, section 3.1: "higher privileges than provided by the access token". Roles have no name in it.
  void challenge(Context& context, std::span<const std::string> scopes) const {
    if (mode() != Mode::enforce) return;
    std::string told = "Bearer error=\"insufficient_scope\"";
    if (!scopes.empty()) told += ", scope=\"" + joined(scopes, " ") + "\"";
    context.promise("www-authenticate", context.kept(told));
  }
  static Result<> refuse(std::span<const std::string> wanted, std::string_view what) {
    return fail(kForbidden, "This needs " + std::string(what) + joined(wanted, ", ") + ".");
  }

  Options options_;
  const contract::Operation& operation_;
  bool bearer_ = false;
};

}  // namespace

extern constinit const Part authorize =
    part<Authorize>("authorization", "Rejects callers without the scopes or roles that an operation requires.");

}  // namespace plimsoll::policy
