#include "plimsoll/policy/authentication/verifiers.hpp"

#include "plimsoll/client/plain_http.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/exchange/development.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/policy/authentication/development_key.hpp"
#include "plimsoll/policy/authentication/key_refresh.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <algorithm>

namespace plimsoll::policy {
namespace {

constexpr std::string_view kFailures = "failures";
/// Sections for whichever scheme is of that kind, when the contract calls it otherwise.
constexpr std::string_view kBearer = "bearer", kApiKey = "api-key";
constexpr std::string_view kDeveloper = "developer";
constexpr std::string_view kDeveloperTenant = "1";  ///< which columns of text and of integers can hold
constexpr Nanoseconds kDevelopmentLife = 12 * 3600 * kSecond;

/// The verifiers of a process.
struct Verifiers {
  std::mutex mutex;
  const json::Value* deployment = nullptr;
  std::map<std::string, Verifier> by_scheme;
};

/// What `--dev` has made for a scheme of that name: good for the life of the process, whatever plan is in force.
struct DevelopmentKeys {
  std::mutex mutex;
  std::map<std::string, Jwk, std::less<>> signing;
  std::map<std::string, std::string, std::less<>> api_keys;
};

struct KeyOptions {};

bool takes_tokens(const contract::SecurityScheme& scheme) {
  return scheme.type == "oauth2" || scheme.type == "openIdConnect" ||
         (scheme.type == "http" && scheme.scheme == "bearer");
}

/// `authentication.<scheme>`, or what holds for all schemes of its kind.
const json::Value* section_of(const contract::SecurityScheme& scheme, const Services& services) {
  const auto* all = services.deployment ? services.deployment->find("authentication") : nullptr;
  if (!all) return nullptr;
  if (const auto* found = all->find(scheme.name)) return found;
  return all->find(takes_tokens(scheme) ? kBearer : kApiKey);
}

std::vector<std::string> all_roles(const Services& services) {
  std::vector<std::string> names;
  if (const auto* roles = services.deployment ? services.deployment->find("roles") : nullptr)
    for (const auto& member : roles->object()) names.emplace_back(member.key);
  return names;
}

std::string header_of(const contract::SecurityScheme& scheme, const std::string& credential) {
  if (scheme.type != "apiKey") return "Authorization: Bearer " + credential;
  const char* shape = scheme.in == contract::In::query ? "?" : scheme.in == contract::In::cookie ? "Cookie: " : "";
  return shape + scheme.parameter + (*shape ? "=" : ": ") + credential;
}

/// Keeps it for those who ask, and tells whoever starts the server.
void made_for_development(const contract::SecurityScheme& scheme, std::string credential, const Services& services) {
  services.remarks->push_back("plimsoll: DEVELOPMENT ONLY: --dev made a key for \"" + scheme.name +
                              "\". A client that sends this may do everything, as \"" + std::string(kDeveloper) +
                              "\" of tenant \"" + std::string(kDeveloperTenant) +
                              "\", for 12 hours or until this process ends:\n  " + header_of(scheme, credential));
  const auto kept = services.of_plan->of<DevelopmentCredentials>();
  const std::scoped_lock lock(kept->mutex);
  kept->by_scheme[scheme.name] = std::move(credential);
}

Result<Verifier> development_tokens(const contract::SecurityScheme& scheme, Roles roles, const Services& services) {
  const auto made = services.shared->of<DevelopmentKeys>();
  const std::scoped_lock lock(made->mutex);
  auto known = made->signing.find(scheme.name);
  if (known == made->signing.end()) {
    auto fresh = Jwk::generate(Algorithm::hs256);
    if (!fresh) return std::unexpected(std::move(fresh).error());
    known = made->signing.emplace(scheme.name, std::move(*fresh)).first;
  }
  const auto& key = known->second;
  std::string claims;
  json::Writer out(claims);
  out.begin_object().key("sub").string(kDeveloper).key("tenant").string(kDeveloperTenant);
  out.key("scope").string("*").key("roles").begin_array();
  for (const auto& role : all_roles(services)) out.string(role);
  out.end_array().key("exp").integer((services.clock->wall() + kDevelopmentLife) / kSecond).end_object();
  auto token = issue_jwt(key, claims);
  if (!token) return std::unexpected(std::move(token).error());
  made_for_development(scheme, std::move(*token), services);
  return Verifier{TokenVerifier::of_keys({key}, {}, std::move(roles)), nullptr};
}

Result<Verifier> make_tokens(const contract::SecurityScheme& scheme, const contract::Contract& contract, Verifiers& all,
                             Roles roles, const Services& services) {
  const auto* section = section_of(scheme, services);
  if (!section) {
    if (services.development) return development_tokens(scheme, std::move(roles), services);
    return fail(kNoVerifier, "the security scheme \"" + scheme.name + "\" has nothing that verifies its tokens");
  }
  TokenOptions options;
  if (auto done = config::read(*section, kTokenFields, &options); !done)
    return std::unexpected(std::move(done).error());
  if (client::is_http(options.jwks)) {
    const auto url = client::parse_url(options.jwks);
    const auto& where = *section->find("jwks");
    if (!url) return config::wrong(where, url.error().detail, client::kWriteUrl);
    if (!url->tls && !client::is_local(*url))
      return config::wrong(where, "keys are fetched by https; plain http is for this machine only",
                           "Write https://, or download the JWK set and name the file.");
    if (options.refresh.nanoseconds < kSecond)
      return config::wrong(config::member_or(*section, "refresh"), "`refresh` is at least 1s",
                           "How often the keys are read again: `refresh: 10m`.");
  }
  if (options.issuer.empty() || options.audience.empty()) {
    const std::string_view missing = !options.audience.empty() ? "issuer"
                                     : options.issuer.empty()  ? "issuer, audience"
                                                               : "audience";
    services.remarks->push_back("plimsoll: `authentication` of \"" + scheme.name + "\" lacks " + std::string(missing) +
                                ": tokens that were issued by, or for, another service are accepted too");
    if (services.log)
      services.log->write(telemetry::Level::warning, "token-origin-unchecked",
                          [&](telemetry::Line& line) { line.add("scheme", scheme.name).add("missing", missing); });
  }
  for (const auto& name : options.algorithms)
    if (!algorithm_of(name))
      return config::wrong(config::member_or(*section, "algorithms"),
                           "\"" + name + "\" is not an algorithm that can be allowed",
                           "Write RS, PS, ES or HS with 256, 384 or 512, or EdDSA; without `algorithms` all that fit "
                           "the keys are allowed.");
  const auto file = options.jwks;
  auto made = TokenVerifier::make(std::move(options), std::move(roles), services.clock->wall());
  if (!made) {
    const auto& why = made.error().detail;
    if (why == TokenVerifier::kNoneAllowed)
      return config::wrong(config::member_or(*section, "algorithms"), why,
                           "Name algorithms that fit the keys, or remove `algorithms`: then all that fit are allowed.");
    if (!file.empty() && why.contains(file))
      return config::wrong(
          config::member_or(*section, "jwks"), why,
          "Name a JWK set: a file that can be read, or an https URL. `plimsoll token key` generates one.");
    if (section->find("secret"))
      return config::wrong(config::member_or(*section, "secret"), why,
                           "A shared secret has at least 32 bytes; `openssl rand -base64 32` generates one.");
    return config::wrong(*section, why, "Add `jwks: FILE` or `jwks: https://…`, or a shared `secret`.");
  }
  (*made)->log_to(services.log);
  if ((*made)->remote()) services.backgrounds->add(std::make_unique<KeyRefresh>(*made, scheme.name, services));
  if (services.log)
    for (const auto& complaint : (*made)->complaints())
      services.log->write(telemetry::Level::warning, "key-skipped",
                          [&](telemetry::Line& line) { line.add("scheme", scheme.name).add("why", complaint); });
  return Verifier{std::move(*made), nullptr};
}

Result<Verifier> make_keys(const contract::SecurityScheme& scheme, const contract::Contract& contract, Verifiers& all,
                           Roles roles, const Services& services) {
  const auto* section = section_of(scheme, services);
  if (section) {
    KeyOptions none;
    if (auto done = config::read(*section, {}, &none); !done) return std::unexpected(std::move(done).error());
  }
  auto made = std::make_shared<KeyVerifier>();
  if (services.database) {
    made->table = std::make_unique<ApiKeys>(*services.database);
    const auto ready = database::wait_for([&](Loop& loop) -> Task<Result<>> {
      auto done = co_await made->table->prepare(loop);
      co_return done;
    });
    if (!ready) return std::unexpected(ready.error());
  }
  if (services.development) {
    auto developer = std::make_shared<Identity>();
    developer->subject = kDeveloper;
    developer->tenant = kDeveloperTenant;
    developer->scopes = {"*"};
    developer->roles = all_roles(services);
    developer->seal();
    made->developer = std::move(developer);
    const auto kept = services.shared->of<DevelopmentKeys>();
    const std::scoped_lock lock(kept->mutex);
    auto& development = kept->api_keys[scheme.name];
    if (development.empty()) development = make_api_key("dev");
    made->development = development;
    made_for_development(scheme, made->development, services);
  } else if (!made->table) {
    return fail(kNoVerifier,
                "the security scheme \"" + scheme.name +
                    "\" has no database to look its keys up in: name one with `database: {url: 'sqlite:PATH'}`");
  }
  made->roles = std::move(roles);
  return Verifier{nullptr, std::move(made)};
}

/// An error of a value, with the key of the deployment that it is in.
std::unexpected<Error> wrong_in(const std::string& key, Error error) {
  error.detail = config::preceded("`" + key + "`: ", error.detail);
  if (!config::located(error.detail).remedy.empty()) return std::unexpected(std::move(error));
  return config::wrong({}, error.detail, "`plimsoll explain " + key + "` describes it and its options.");
}

/// The options of a scheme, also where no operation uses it.
Result<> check_section(std::string_view name, const json::Value& section,
                       std::span<const contract::Contract* const> contracts) {
  const bool of_tokens = name == kBearer || std::ranges::any_of(contracts, [&](const auto* contract) {
                           return std::ranges::any_of(contract->security_schemes, [&](const auto& scheme) {
                             return scheme.name == name && takes_tokens(scheme);
                           });
                         });
  TokenOptions read;
  if (of_tokens) return config::read(section, kTokenFields, &read);
  return config::read(section, {}, &read);
}

}  // namespace

Result<> check_authentication(std::span<const contract::Contract* const> contracts, const json::Value* deployment) {
  if (auto roles = Roles::read(deployment); !roles) return wrong_in("roles", std::move(roles).error());
  const auto* all = deployment ? deployment->find("authentication") : nullptr;
  if (!all) return {};
  if (!all->is(json::Type::object))
    return config::wrong(*all, "`authentication` is an object: each security scheme",
                         "Write `authentication: {bearer: {issuer: URL, audience: NAME, jwks: FILE}}`.");
  if (auto failures = failures_allowed(deployment); !failures)
    return wrong_in("authentication", std::move(failures).error());
  std::vector<std::string_view> names{kFailures};
  const auto add = [&](std::string_view name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const auto* contract : contracts)
    for (const auto& scheme : contract->security_schemes) {
      add(scheme.name);
      if (takes_tokens(scheme)) add(kBearer);
      if (scheme.type == "apiKey") add(kApiKey);
    }
  for (const auto& [name, value, at] : all->object()) {
    if (std::ranges::find(names, name) != names.end()) {
      if (name == kFailures) continue;
      if (auto read = check_section(name, value, contracts); !read)
        return wrong_in("authentication", std::move(read).error());
      continue;
    }
    auto place = value;
    if (at.line) place.set_position(at);
    const auto near = config::nearest(name, names);
    std::string all_names;
    for (const auto each : names) all_names += (all_names.empty() ? "" : ", ") + std::string(each);
    return config::wrong(place,
                         "`authentication` has \"" + std::string(name) +
                             "\", which no security scheme of the contract uses" +
                             (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"),
                         "It may have: " + all_names + ".");
  }
  return {};
}

Result<Verifier> verifier_of(const contract::SecurityScheme& scheme, const contract::Contract& contract,
                             const Services& services) {
  const auto all = services.of_plan->of<Verifiers>();
  const std::scoped_lock lock(all->mutex);
  if (all->deployment != services.deployment) all->by_scheme.clear();
  all->deployment = services.deployment;
  if (const auto known = all->by_scheme.find(scheme.name); known != all->by_scheme.end()) return known->second;
  const contract::Contract* const alone[] = {&contract};
  const std::span<const contract::Contract* const> all_contracts =
      services.contracts.empty() ? alone : std::span<const contract::Contract* const>(services.contracts);
  if (auto used = check_authentication(all_contracts, services.deployment); !used) return std::unexpected(used.error());
  auto roles = Roles::read(services.deployment);
  if (!roles) return std::unexpected(std::move(roles).error());
  Result<Verifier> made;
  if (takes_tokens(scheme))
    made = make_tokens(scheme, contract, *all, std::move(*roles), services);
  else if (scheme.type == "apiKey")
    made = make_keys(scheme, contract, *all, std::move(*roles), services);
  else
    made = fail(kUnverifiable,
                config::placed(scheme.raw ? *scheme.raw : json::Value{},
                               "this version does not verify security schemes of type " + scheme.type +
                                   (scheme.scheme.empty() ? "" : " " + scheme.scheme) + " (\"" + scheme.name + "\")"));
  if (made) all->by_scheme.emplace(scheme.name, *made);
  return made;
}

Result<std::optional<config::Rate>> failures_allowed(const json::Value* deployment) {
  const auto* said = deployment ? deployment->at("authentication", kFailures) : nullptr;
  if (!said) return config::Rate{10, config::minutes(1)};
  if (said->is(json::Type::string) && said->string() == "off") return std::nullopt;
  auto rate = config::Form<config::Rate>::read(*said);
  if (!rate) return std::unexpected(std::move(rate).error());
  if (rate->limit < 1) return config::wrong(*said, "a limit is at least 1; `off` removes it");
  return *rate;
}

std::vector<DevelopmentCredential> development_credentials(const contract::Contract& contract,
                                                           const Services& services) {
  std::vector<DevelopmentCredential> made;
  const auto kept = services.of_plan->of<DevelopmentCredentials>();
  const std::scoped_lock lock(kept->mutex);
  for (const auto& scheme : contract.security_schemes)
    if (const auto found = kept->by_scheme.find(scheme.name); found != kept->by_scheme.end())
      made.push_back({scheme.name, header_of(scheme, found->second), std::string(kDeveloper)});
  return made;
}

Result<std::string> development_header(const contract::Contract& contract, const Services& services,
                                       const DevelopmentCaller& caller) {
  const auto made = services.shared->of<DevelopmentKeys>();
  const std::scoped_lock lock(made->mutex);
  for (const auto& scheme : contract.security_schemes) {
    const auto key = made->signing.find(scheme.name);
    if (key == made->signing.end()) continue;
    std::string claims, scopes;
    for (const auto& scope : caller.scopes) scopes += (scopes.empty() ? "" : " ") + scope;
    json::Writer out(claims);
    out.begin_object().key("sub").string(caller.subject).key("scope").string(scopes);
    if (!caller.tenant.empty()) out.key("tenant").string(caller.tenant);
    out.key("roles").begin_array();
    for (const auto& role : caller.roles) out.string(role);
    out.end_array().key("exp").integer((services.clock->wall() + kDevelopmentLife) / kSecond).end_object();
    auto token = issue_jwt(key->second, claims);
    if (!token) return std::unexpected(std::move(token).error());
    return header_of(scheme, *token);
  }
  return fail(kNoVerifier, "no security scheme of the contract has a development key");
}

}  // namespace plimsoll::policy
