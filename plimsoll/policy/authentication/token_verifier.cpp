#include "plimsoll/policy/authentication/token_verifier.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/base/read_file.hpp"
#include "plimsoll/client/url.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <sys/stat.h>

namespace plimsoll::policy {
namespace {

/// An unknown `kid` makes the keys be looked at anew, but not more often than this.
constexpr Nanoseconds kLeastRefresh = 30 * kSecond;

std::int64_t changed_at(const std::string& path) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return -1;
  return about.st_mtim.tv_sec * kSecond + about.st_mtim.tv_nsec;
}

Result<JwkSet> read_set(const std::string& path) {
  // To open a pipe waits for a writer, and it may be an I/O thread that looks.
  if (!opens_at_once(path)) return fail(kBadKey, "the key file " + path + " is no file");
  const auto text = read_file(path);
  if (!text) return fail(kBadKey, "the key file " + path + " cannot be read: " + text.error().message());
  Arena arena;
  const auto value = json::parse(*text, arena);
  if (!value) return fail(kBadKey, "the key file " + path + " is not JSON: " + value.error().detail);
  auto set = parse_jwk_set(*value);
  if (!set) return fail(kBadKey, "the key file " + path + ": " + set.error().detail);
  return set;
}

/// A list of texts, or one text parted by blanks.
std::vector<std::string> words(const json::Value* claim) {
  std::vector<std::string> out;
  if (!claim) return out;
  if (claim->is(json::Type::string)) {
    auto rest = claim->string();
    while (!rest.empty()) {
      const auto end = std::min(rest.find(' '), rest.size());
      if (end > 0) out.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  for (const auto& item : claim->array())
    if (item.is(json::Type::string)) out.emplace_back(item.string());
  return out;
}

std::string text(const json::Value* claim) {
  if (!claim) return {};
  if (claim->is(json::Type::string)) return std::string(claim->string());
  if (claim->is(json::Type::number)) return std::string(claim->number_text());
  return {};
}

}  // namespace

Result<std::shared_ptr<TokenVerifier>> TokenVerifier::make(TokenOptions options, Roles roles, Nanoseconds now) {
  auto made = std::make_shared<TokenVerifier>();
  made->rules_ = {.issuer = options.issuer, .audience = options.audience, .leeway = options.leeway.nanoseconds};
  for (const auto& name : options.algorithms) {
    const auto algorithm = algorithm_of(name);
    if (!algorithm) return fail(kBadKey, "\"" + name + "\" is not an algorithm that can be allowed");
    made->rules_.algorithms.push_back(*algorithm);
  }
  made->remote_ = client::is_http(options.jwks);
  made->options_ = std::move(options);
  made->roles_ = std::move(roles);
  made->keys_ = std::make_shared<const JwkSet>();
  if (made->remote()) return made;
  if (auto done = made->load(now); !done) return std::unexpected(std::move(done).error());
  return made;
}

std::shared_ptr<TokenVerifier> TokenVerifier::of_keys(std::vector<Jwk> keys, JwtRules rules, Roles roles) {
  auto made = std::make_shared<TokenVerifier>();
  made->rules_ = std::move(rules);
  made->roles_ = std::move(roles);
  made->keys_ = std::make_shared<const JwkSet>(JwkSet{std::move(keys), {}});
  return made;
}

Result<> TokenVerifier::load(Nanoseconds now) {
  JwkSet set;
  if (!options_.jwks.empty()) {
    changed_ = changed_at(options_.jwks);
    auto read = read_set(options_.jwks);
    if (!read) return std::unexpected(std::move(read).error());
    set = std::move(*read);
  }
  return adopt(std::move(set), now);
}

Result<> TokenVerifier::adopt(JwkSet set, Nanoseconds now) {
  for (const auto& secret : options_.secret) {
    auto key = Jwk::of_secret(secret);
    if (!key) return std::unexpected(std::move(key).error());
    set.keys.push_back(std::move(*key));
  }
  if (set.keys.empty()) {
    auto why = options_.jwks.empty() ? std::string("neither `jwks` nor `secret` is given")
                                     : options_.jwks + " has no key that can be used";
    for (const auto& complaint : set.complaints) why += "; " + complaint;
    return fail(kBadKey, why);
  }
  const auto allowed = [&](const Jwk& key) {
    return std::ranges::any_of(rules_.algorithms, [&](Algorithm each) { return key.fits(each); });
  };
  if (!rules_.algorithms.empty() && std::ranges::none_of(set.keys, allowed))
    return fail(kBadKey, std::string(kNoneAllowed));
  looked_ = now;
  keys_ = std::make_shared<const JwkSet>(std::move(set));
  adopted_.store(true, std::memory_order_release);
  generation_.fetch_add(1);
  return {};
}

/// Keys that cannot be read leave those we have in force.
void TokenVerifier::refresh(Nanoseconds now, Nanoseconds least) {
  auto looked = looked_.load();
  if (options_.jwks.empty() || remote() || now - looked < least || !looked_.compare_exchange_strong(looked, now))
    return;
  if (changed_at(options_.jwks) == changed_) return;
  if (const auto done = load(now); !done && log_)  // once for each change of the file
    log_->write(telemetry::Level::warning, "keys-not-read",
                [&](telemetry::Line& line) { line.add("why", done.error().detail); });
}

std::uint64_t TokenVerifier::place_of(std::string_view token) {
  return hash64(token.substr(token.size() - std::min(token.size(), kHashed)));
}

IdentityPointer TokenVerifier::remembered(const Shard& shard, std::uint64_t key, std::string_view token,
                                          Nanoseconds now) const {
  const auto& slot = shard.slots[key / kShards % kSlots];
  if (!slot.identity || slot.generation != generation_.load(std::memory_order_relaxed)) return nullptr;
  if (slot.key != key || slot.token != token) return nullptr;
  return now - rules_.leeway < slot.identity->expires ? slot.identity : nullptr;
}

bool TokenVerifier::knows(std::string_view token, Nanoseconds now) {
  if (token.size() > kMostCached) return false;
  const auto key = place_of(token);
  auto& shard = shards_[key % kShards];
  const std::scoped_lock lock(shard.mutex);
  return remembered(shard, key, token, now) != nullptr;
}

void TokenVerifier::remember(std::uint64_t key, std::string_view token, const IdentityPointer& identity,
                             std::uint64_t generation) {
  auto& shard = shards_[key % kShards];
  const std::unique_lock lock(shard.mutex, std::try_to_lock);
  if (lock) shard.slots[key / kShards % kSlots] = {key, std::string(token), identity, generation};
}

std::expected<IdentityPointer, JwtFault> TokenVerifier::verify(std::string_view token, Nanoseconds now) {
  refresh(now, options_.refresh.nanoseconds);
  const bool small = token.size() <= kMostCached;
  const auto key = small ? place_of(token) : 0;
  if (small) {
    auto& shard = shards_[key % kShards];
    const std::unique_lock lock(shard.mutex, std::try_to_lock);
    if (lock)
      if (auto known = remembered(shard, key, token, now)) return known;
  }
  const auto generation = generation_.load();
  auto identity = std::make_shared<Identity>();
  auto jwt = verify_jwt(token, keys()->keys, rules_, now, identity->arena);
  if (!jwt && jwt.error() == JwtFault::unknown_key) {
    wants_keys_ = remote();
    refresh(now, kLeastRefresh);
    jwt = verify_jwt(token, keys()->keys, rules_, now, identity->arena);
  }
  if (!jwt) return std::unexpected(jwt.error());
  const auto& claims = jwt->claims;
  identity->subject = text(claims.find(options_.subject_claim));
  if (identity->subject.empty()) return std::unexpected(JwtFault::bad_claims);
  identity->tenant = text(claims.find(options_.tenant_claim));
  identity->roles = words(claims.find(options_.roles_claim));
  identity->scopes = words(claims.find(options_.scopes_claim));
  if (identity->scopes.empty() && options_.scopes_claim == "scope") identity->scopes = words(claims.find("scp"));
  identity->expires = jwt->expires;
  identity->claims = claims;
  identity->has_claims = true;
  roles_.expand(*identity);
  identity->seal();
  if (small) remember(key, token, identity, generation);
  return identity;
}

}  // namespace plimsoll::policy
