#pragma once

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/policy/authentication/identity.hpp"

#include <array>
#include <mutex>
#include <optional>

namespace plimsoll::policy {

/// An API key as it is given out, once: `pk_` + 30 random characters (178 bits) + 6 of checksum, so that a scanner of
/// repositories recognises one and a mistyped one never reaches the database.
std::string make_api_key(std::string_view prefix);
/// True when the form and the checksum are right; says nothing about whether the key exists.
bool looks_like_api_key(std::string_view key) noexcept;

/// A key as the table keeps it: never the key itself, but its SHA-256 (a random key needs no salt and no slow hash).
struct ApiKey {
  std::string id, name, subject, tenant, hint;  ///< hint: the first characters, to recognise it by
  std::vector<std::string> scopes, roles;
  Nanoseconds created = 0, expires = 0, revoked = 0;  ///< Unix; 0: never
};

/// The keys of a database, in the table `plimsoll_keys`.
class ApiKeys {
 public:
  explicit ApiKeys(database::Database& database) : database_(database) {}
  Task<Result<>> prepare(Loop& loop);
  /// The key's text; it is not kept.
  Task<Result<std::string>> create(Loop& loop, const ApiKey& like, std::string_view prefix, Nanoseconds now);
  Task<Result<std::vector<ApiKey>>> list(Loop& loop);
  /// A new key like the one of that id, which itself ends after `overlap`.
  Task<Result<std::string>> rotate(Loop& loop, std::string_view id, Nanoseconds overlap, Nanoseconds now);
  /// At once. False: there is no such key.
  Task<Result<bool>> revoke(Loop& loop, std::string_view id, Nanoseconds now);
  /// Of a key's digest; null when there is none that is alive at `now`.
  Task<Result<IdentityPointer>> find(Loop& loop, const Digest& digest, const Roles& roles, Nanoseconds now);

 private:
  database::Database& database_;
};

/// What was found lately, so that a key is looked up once per `kFresh`, not once per request: a key that is revoked is
/// accepted for that long at most. By its text, compared in constant time: to digest it for every request would cost
/// more than all else that is done with it.
class ApiKeyCache {
 public:
  static constexpr Nanoseconds kFresh = 5 * kSecond;
  IdentityPointer find(std::string_view key, Nanoseconds steady, Nanoseconds wall);
  void put(std::string_view key, IdentityPointer, Nanoseconds steady);
  /// Whether the key was found before and has not expired, however long ago: it is looked up again for its revocation,
  /// and is no stranger where failures are limited.
  bool knows(std::string_view key, Nanoseconds wall);
  /// It was found no longer.
  void forget(std::string_view key);

 private:
  static constexpr std::size_t kShards = 32, kSlots = 64;
  struct Slot {
    std::string key;
    IdentityPointer identity;
    Nanoseconds found = 0;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::array<Slot, kSlots> slots;
  };
  std::unique_ptr<Shard[]> shards_ = std::make_unique<Shard[]>(kShards);
};

}  // namespace plimsoll::policy
