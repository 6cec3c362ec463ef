#include "plimsoll/policy/authentication/api_key.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/base/uuid.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::policy {
namespace {

using database::Cell;
using database::number_of;
using database::text_of;

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t kRandom = 30, kChecksum = 6, kHint = 6;

constexpr database::OwnTable kTable{
    .name = "plimsoll_keys",
    .columns =
        "id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, hint TEXT NOT NULL, name TEXT NOT NULL, subject TEXT NOT "
        "NULL,"
        " tenant TEXT NOT NULL, scopes TEXT NOT NULL, roles TEXT NOT NULL, created_at INTEGER NOT NULL,"
        " expires_at INTEGER NOT NULL, revoked_at INTEGER NOT NULL"};
constexpr std::string_view kColumns =
    "id, hint, name, subject, tenant, scopes, roles, created_at, expires_at, revoked_at";

constexpr Problem kNoSuchKey{"no-such-key", 404, "The API key does not exist", "`plimsoll keys list` lists the keys."};

/// The first 35 bits of a hash, in base 62.
std::string checksum(std::string_view text) {
  const auto digest = sha256(text);
  std::uint64_t bits = 0;
  for (int i = 0; i < 5; ++i) bits = bits << 8 | digest[static_cast<std::size_t>(i)];
  bits >>= 5;
  std::string out;
  for (std::size_t i = 0; i < kChecksum; ++i, bits /= kAlphabet.size()) out += kAlphabet[bits % kAlphabet.size()];
  return out;
}

std::string list_text(const std::vector<std::string>& list) {
  std::string out;
  json::Writer writer(out);
  writer.begin_array();
  for (const auto& each : list) writer.string(each);
  writer.end_array();
  return out;
}

std::vector<std::string> list_of(std::string_view text) {
  Arena arena;
  std::vector<std::string> out;
  if (const auto value = json::parse(text, arena))
    for (const auto& each : value->array()) out.emplace_back(each.string());
  return out;
}

ApiKey key_of(const std::vector<Cell>& row) {
  return {.id = text_of(row[0]),
          .name = text_of(row[2]),
          .subject = text_of(row[3]),
          .tenant = text_of(row[4]),
          .hint = text_of(row[1]),
          .scopes = list_of(text_of(row[5])),
          .roles = list_of(text_of(row[6])),
          .created = number_of(row[7]),
          .expires = number_of(row[8]),
          .revoked = number_of(row[9])};
}

Task<Result<>> insert(database::Session& session, const ApiKey& key, const std::string& secret, Nanoseconds now) {
  const Cell cells[] = {uuid7(now).to_string(),
                        to_hex(as_text(sha256(secret))),
                        secret.substr(0, secret.rfind('_') + 1 + kHint),
                        key.name,
                        key.subject,
                        key.tenant,
                        list_text(key.scopes),
                        list_text(key.roles),
                        now,
                        key.expires,
                        std::int64_t{0}};
  auto done = co_await session.query(
      "INSERT INTO plimsoll_keys (id, digest, hint, name, subject, tenant, scopes, roles, created_at, expires_at, "
      "revoked_at)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      cells);
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return Result<>{};
}

}  // namespace

std::string make_api_key(std::string_view prefix) {
  std::string key(prefix);
  key += '_';
  while (key.size() < prefix.size() + 1 + kRandom) {
    const auto byte = static_cast<std::uint8_t>(random_bytes(1)[0]);
    if (byte < 248) key += kAlphabet[byte % kAlphabet.size()];  // 248 = 4 * 62: every character equally likely
  }
  return key + checksum(key);
}

bool looks_like_api_key(std::string_view key) noexcept {
  const auto bar = key.rfind('_');
  if (bar == key.npos || bar == 0 || key.size() != bar + 1 + kRandom + kChecksum || key.size() > 96) return false;
  for (const char c : key.substr(bar + 1))
    if (!kAlphabet.contains(c)) return false;
  return equal_in_constant_time(key.substr(key.size() - kChecksum), checksum(key.substr(0, key.size() - kChecksum)));
}

Task<Result<>> ApiKeys::prepare(Loop& loop) {
  auto work = [&](database::Session& session) -> Task<Result<>> {
    auto made = co_await database::prepare_own_table(session, database_.dialect(), kTable);
    co_return made;
  };
  auto done = co_await database_.write(loop, work);
  co_return done;
}

Task<Result<std::string>> ApiKeys::create(Loop& loop, const ApiKey& like, std::string_view prefix, Nanoseconds now) {
  const auto secret = make_api_key(prefix);
  auto work = [&](database::Session& session) -> Task<Result<>> {
    auto done = co_await insert(session, like, secret, now);
    co_return done;
  };
  auto done = co_await database_.write(loop, work);
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return secret;
}

Task<Result<std::vector<ApiKey>>> ApiKeys::list(Loop& loop) {
  static const auto sql = "SELECT " + std::string(kColumns) + " FROM plimsoll_keys ORDER BY created_at, id";
  auto known = co_await database::has_table(database_, loop, kTable.name);
  if (!known) co_return std::unexpected(std::move(known).error());
  if (!*known) co_return std::vector<ApiKey>{};
  auto rows = co_await database_.read(loop, sql, {}, false);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::vector<ApiKey> keys;
  for (const auto& row : *rows) keys.push_back(key_of(row));
  co_return keys;
}

Task<Result<std::string>> ApiKeys::rotate(Loop& loop, std::string_view id, Nanoseconds overlap, Nanoseconds now) {
  static const auto sql = "SELECT " + std::string(kColumns) + " FROM plimsoll_keys WHERE id = ? AND revoked_at = 0";
  std::string secret;
  auto work = [&](database::Session& session) -> Task<Result<>> {
    const Cell which[] = {std::string(id)};
    auto rows = co_await session.query(sql, which);
    if (!rows) co_return std::unexpected(std::move(rows).error());
    if (rows->empty()) co_return fail(kNoSuchKey, "there is no key " + std::string(id) + " that is not revoked");
    auto key = key_of((*rows)[0]);
    if (key.expires != 0 && key.expires <= now) co_return fail(kNoSuchKey, "the key " + key.id + " has expired");
    const auto prefix = key.hint.substr(0, key.hint.rfind('_'));
    secret = make_api_key(prefix);
    // The successor lives as long as its predecessor was meant to, from now on.
    if (key.expires != 0) key.expires = now + (key.expires - key.created);
    auto made = co_await insert(session, key, secret, now);
    if (!made) co_return made;
    const Cell end[] = {now + overlap, std::string(id), now + overlap};
    auto ended = co_await session.query(
        "UPDATE plimsoll_keys SET expires_at = ? WHERE id = ? AND (expires_at = 0 OR expires_at > ?)", end);
    if (!ended) co_return std::unexpected(std::move(ended).error());
    co_return Result<>{};
  };
  auto done = co_await database_.write(loop, work);
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return secret;
}

Task<Result<bool>> ApiKeys::revoke(Loop& loop, std::string_view id, Nanoseconds now) {
  bool found = false;
  auto work = [&](database::Session& session) -> Task<Result<>> {
    const Cell cells[] = {now, std::string(id)};
    auto rows = co_await session.query(
        "UPDATE plimsoll_keys SET revoked_at = ? WHERE id = ? AND revoked_at = 0 RETURNING id", cells);
    if (!rows) co_return std::unexpected(std::move(rows).error());
    found = !rows->empty();
    co_return Result<>{};
  };
  auto done = co_await database_.write(loop, work);
  if (!done) co_return std::unexpected(std::move(done).error());
  co_return found;
}

Task<Result<IdentityPointer>> ApiKeys::find(Loop& loop, const Digest& digest, const Roles& roles, Nanoseconds now) {
  static const auto sql = "SELECT " + std::string(kColumns) + " FROM plimsoll_keys WHERE digest = ?";
  const Cell which[] = {to_hex(as_text(digest))};
  auto rows = co_await database_.read(loop, sql, which, true);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  if (rows->empty()) co_return IdentityPointer{};
  auto key = key_of((*rows)[0]);
  if (key.revoked != 0 || (key.expires != 0 && key.expires <= now)) co_return IdentityPointer{};
  auto identity = std::make_shared<Identity>();
  identity->subject = std::move(key.subject);
  identity->tenant = std::move(key.tenant);
  identity->scopes = std::move(key.scopes);
  identity->roles = std::move(key.roles);
  identity->expires = key.expires;
  roles.expand(*identity);
  identity->seal();
  co_return IdentityPointer{std::move(identity)};
}

IdentityPointer ApiKeyCache::find(std::string_view key, Nanoseconds steady, Nanoseconds wall) {
  const auto hash = hash64(key);
  auto& shard = shards_[hash % kShards];
  const std::unique_lock lock(shard.mutex, std::try_to_lock);
  if (!lock) return nullptr;
  const auto& slot = shard.slots[hash / kShards % kSlots];
  if (!slot.identity || steady - slot.found >= kFresh || !equal_in_constant_time(slot.key, key)) return nullptr;
  if (slot.identity->expires != 0 && slot.identity->expires <= wall) return nullptr;
  return slot.identity;
}

void ApiKeyCache::put(std::string_view key, IdentityPointer identity, Nanoseconds steady) {
  const auto hash = hash64(key);
  auto& shard = shards_[hash % kShards];
  const std::unique_lock lock(shard.mutex, std::try_to_lock);
  if (lock) shard.slots[hash / kShards % kSlots] = {std::string(key), std::move(identity), steady};
}

bool ApiKeyCache::knows(std::string_view key, Nanoseconds wall) {
  const auto hash = hash64(key);
  auto& shard = shards_[hash % kShards];
  const std::scoped_lock lock(shard.mutex);
  const auto& slot = shard.slots[hash / kShards % kSlots];
  if (!slot.identity || !equal_in_constant_time(slot.key, key)) return false;
  return slot.identity->expires == 0 || slot.identity->expires > wall;
}

void ApiKeyCache::forget(std::string_view key) {
  const auto hash = hash64(key);
  auto& shard = shards_[hash % kShards];
  const std::scoped_lock lock(shard.mutex);
  auto& slot = shard.slots[hash / kShards % kSlots];
  if (slot.identity && equal_in_constant_time(slot.key, key)) slot = {};
}

}  // namespace plimsoll::policy
