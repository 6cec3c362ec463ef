#include "plimsoll/policy/idempotency_record.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/uuid.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/sent_once.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::policy {
namespace {

using database::Cell;

void append_length(std::string& to, std::string_view part) {
  const auto length = std::uint64_t{part.size()};
  to.append(reinterpret_cast<const char*>(&length), sizeof length);
}

/// Parts of a digest, each behind its length, so that none can be moved into the next.
std::string in_parts(std::initializer_list<std::string_view> parts) {
  std::size_t size = sizeof(std::uint64_t);  // room for one more length
  for (const auto part : parts) size += sizeof(std::uint64_t) + part.size();
  std::string made;
  made.reserve(size);
  for (const auto part : parts) {
    append_length(made, part);
    made += part;
  }
  return made;
}

/// A lease is a row without a status: in place of the fields of an answer stand the token and the end of the lease, as
/// fields. So one key has one row, and whoever changes it has seen which of the two it is.
constexpr std::int64_t kLeased = 0;
constexpr std::string_view kToken = "token", kUntil = "until";

/// Removal is a statement more in the transaction of a request: it is done for many at once.
constexpr std::uint32_t kStoredForRemoval = 32;

std::string written(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string text;
  text.reserve(64 * fields.size());
  json::Writer out{text};
  out.begin_array();
  for (auto& [name, value] : fields) out.begin_array().string(name).string(value).end_array();
  out.end_array();
  return text;
}
std::string written(const Lease& lease) {
  return written({{std::string(kToken), lease.token}, {std::string(kUntil), std::to_string(lease.until)}});
}
Result<Lease> lease_of(const RecordedAnswer& row) {
  Lease lease{.fingerprint = row.fingerprint};
  for (auto& [name, value] : row.headers) {
    if (name == kToken) lease.token = value;
    if (name == kUntil) std::from_chars(value.data(), value.data() + value.size(), lease.until);
  }
  if (lease.token.empty()) return std::unexpected(Error{&kInternal}.because("the lease of a key cannot be read"));
  return lease;
}

/// What the media type adds to the meaning of the bytes: nothing where it is the one that the operation declares first.
/// Parameters count where a text or a file may keep them; what is parsed (`charset` of JSON) reads the same without.
std::string meaning_of_type(const Request& request, const contract::Operation* operation) {
  const auto sent = request.headers.joined("content-type");
  const auto* body = operation && operation->body ? &*operation->body : nullptr;
  const bool declares = body && !body->content.empty();
  if (declares && sent == body->content[0].name && !sent.contains(';')) return {};
  auto type = http::essence(sent);
  const auto kind = contract::body_kind(type);
  const bool keeps = kind == contract::BodyKind::text || kind == contract::BodyKind::binary;
  if (keeps && sent.contains(';')) return std::string(sent);
  if (declares && http::essence(body->content[0].name) == type) type.clear();
  return type;
}

}  // namespace

Lease Lease::taken(const Digest& fingerprint, Nanoseconds until) {
  return {.fingerprint = fingerprint, .token = to_base64url(random_bytes(16)), .until = until};
}

struct IdempotencyRecords::Row {
  const Digest& fingerprint;
  std::int64_t status;
  std::string fields;
  std::string_view body;
};

IdempotencyKey read_idempotency_key(const Headers& headers) {
  IdempotencyKey key;
  const auto count = headers.count("idempotency-key");
  if (count == 0) return key;
  key.given = true;
  key.text = headers.find("idempotency-key");
  const bool quoted = key.text.size() >= 2 && key.text.starts_with('"') && key.text.ends_with('"');
  if (quoted) key.text = key.text.substr(1, key.text.size() - 2);
  // Within quotes neither a quote nor a backslash: RFC 8941 would have them escaped, and no key needs them.
  for (const char c : key.text)
    if (c <= ' ' || c > '~' || c == '"' || (quoted && c == '\\')) return key;
  key.valid = count == 1 && !key.text.empty() && key.text.size() <= 255;
  return key;
}

std::string record_key(const Principal* principal, std::string_view operation, std::string_view key) {
  static const Principal kNone;
  const auto& who = principal ? *principal : kNone;
  return to_base64url(as_text(sha256(in_parts({who.tenant, who.scheme, who.subject, operation, key}))));
}

std::string key_between_services(std::string_view record_key) {
  return uuid8(sha256({"between services", record_key})).to_string();
}

Digest fingerprint_of(const Request& request, const Context& context) {
  const auto body = context.input.body_text;
  auto before = in_parts({request.method, request.path, request.query});
  append_length(before, body);
  std::string behind;
  if (request.headers.contains("if-match")) behind += in_parts({request.headers.joined("if-match")});
  // Base paths of versions are in the path already.
  const auto& version = context.services.version;
  if (!version.empty() && version[0] != '/') behind += in_parts({"version", version});
  if (const auto type = meaning_of_type(request, context.operation); !type.empty()) behind += in_parts({"type", type});
  return sha256({before, body, behind});
}

Task<Result<>> read_whole_body(Request& request, Context& context) {
  if (!request.body || context.input.body_text.data()) co_return Result<>{};
  const auto memory = context.services.shared->of<BodyMemory>();
  auto& whole = context.keep<WholeBody>(context, *memory, request.peer, context.body_limit, request.content_length);
  while (true) {
    auto piece = co_await request.body->read();
    if (!piece) co_return std::unexpected(std::move(piece).error());
    if (piece->empty()) break;
    whole.add(*piece);
    if (whole.spools()) co_await whole.spool();
    if (whole.error()) co_return std::unexpected(*whole.error());
  }
  context.input.body_text = whole.text();
  if (whole.error()) co_return std::unexpected(*whole.error());
  request.body = &context.arena.make<TextStream>(context.input.body_text);
  co_return Result<>{};
}

std::shared_ptr<RecordedAnswer> record_of(const Response& response) {
  const auto body = whole_text(response.body);
  if (!body || response.status >= 500 || says_nothing_done(response.status)) return nullptr;
  auto made = std::make_shared<RecordedAnswer>();
  made->status = response.status;
  for (auto& [name, value] : response.headers) made->headers.emplace_back(name, value);
  made->body = *body;
  return made;
}

Response replay_of(const RecordedAnswer& recorded, Arena& arena) {
  Response response{.status = recorded.status, .headers = Headers{arena}};
  for (auto& [name, value] : recorded.headers) response.headers.add(name, value);
  response.headers.add("idempotent-replayed", "true");
  if (!recorded.body.empty()) response.body = lasting(arena.keep(recorded.body));
  return response;
}

Task<Result<>> IdempotencyRecords::prepare(Loop& loop) const {
  static constexpr std::string_view kIndexes[] = {
      "CREATE INDEX IF NOT EXISTS plimsoll_idempotency_expires ON plimsoll_idempotency(expires_at)"};
  static constexpr database::OwnTable kTable{
      .name = "plimsoll_idempotency",
      .columns =
          "key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, operation TEXT NOT NULL, status INTEGER NOT NULL,"
          " headers TEXT NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL",
      .indexes = kIndexes};
  auto written = co_await database_.write(loop, [&](database::Session& session) -> Task<Result<>> {
    auto made = co_await database::prepare_own_table(session, database_.dialect(), kTable);
    co_return made;
  });
  co_return written;
}

Task<Result<IdempotencyRecords::Known>> IdempotencyRecords::find(Loop& loop, std::string_view key) const {
  const Cell which[] = {std::string(key), expiry_->now()};
  auto rows = co_await database_.read(
      loop, "SELECT fingerprint, status, headers, body FROM plimsoll_idempotency WHERE key = ? AND expires_at > ?",
      which, true);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  if (rows->empty()) co_return Known{};
  auto& row = (*rows)[0];
  auto text = [&](std::size_t column) -> std::string_view {
    auto* value = std::get_if<std::string>(&row[column]);
    return value ? std::string_view(*value) : std::string_view{};
  };
  auto found = std::make_shared<RecordedAnswer>();
  auto fingerprint = from_base64url(text(0));
  Arena arena;
  auto headers = json::parse(text(2), arena);
  if (!fingerprint || fingerprint->size() != found->fingerprint.size() || !headers)
    co_return std::unexpected(Error{&kInternal}.because("a recorded answer cannot be read"));
  std::copy(fingerprint->begin(), fingerprint->end(), found->fingerprint.begin());
  found->status = static_cast<std::uint16_t>(std::get<std::int64_t>(row[1]));
  for (auto& header : headers->array())
    if (header.array().size() == 2) found->headers.emplace_back(header.array()[0].string(), header.array()[1].string());
  found->body = text(3);
  if (found->status != kLeased) co_return Known{.answer = std::move(found)};
  auto lease = lease_of(*found);
  if (!lease) co_return std::unexpected(std::move(lease).error());
  co_return Known{.lease = std::move(*lease)};
}

Task<Result<bool>> IdempotencyRecords::insert(database::Session& session, std::string_view key,
                                              std::string_view operation, const RecordedAnswer& answer,
                                              Nanoseconds wall, Nanoseconds keep) const {
  co_return co_await insert(session, key, operation,
                            Row{answer.fingerprint, answer.status, written(answer.headers), answer.body}, wall, keep);
}

Task<Result<bool>> IdempotencyRecords::insert(database::Session& session, std::string_view key,
                                              std::string_view operation, Row made, Nanoseconds wall,
                                              Nanoseconds keep) const {
  const Cell row[] = {std::string(key),
                      to_base64url(as_text(made.fingerprint)),
                      std::string(operation),
                      made.status,
                      std::move(made.fields),
                      std::string(made.body),
                      wall,
                      wall + keep,
                      expiry_->now()};
  auto inserted = co_await session.execute(
      "INSERT INTO plimsoll_idempotency(key, fingerprint, operation, status, headers, body, created_at, expires_at)"
      " VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(key) DO UPDATE SET fingerprint = excluded.fingerprint,"
      " operation = excluded.operation, status = excluded.status, headers = excluded.headers, body = excluded.body,"
      " created_at = excluded.created_at, expires_at = excluded.expires_at"
      " WHERE plimsoll_idempotency.expires_at <= ?",
      row);
  if (!inserted) co_return std::unexpected(std::move(inserted).error());
  if (*inserted == 0) co_return false;
  if (stored_->fetch_add(1, std::memory_order_relaxed) % kStoredForRemoval == 0)
    if (auto removed = co_await remove_expired(session); !removed)
      co_return std::unexpected(std::move(removed).error());
  co_return true;
}

Task<Result<>> IdempotencyRecords::remove_expired(database::Session& session) const {
  const Cell most[] = {expiry_->now(), std::int64_t{2 * kStoredForRemoval}};
  auto removed = co_await session.query(
      "DELETE FROM plimsoll_idempotency WHERE key IN (SELECT key FROM plimsoll_idempotency WHERE expires_at <= ?"
      " ORDER BY expires_at LIMIT ?" +
          std::string(database_.dialect().claim_rows()) + ")",
      most);
  if (!removed) co_return std::unexpected(std::move(removed).error());
  co_return Result<>{};
}

Task<Result<bool>> IdempotencyRecords::take(Loop& loop, std::string_view key, std::string_view operation,
                                            const Lease& lease, const Lease* over, Nanoseconds wall,
                                            Nanoseconds keep) const {
  bool taken = false;
  auto written_down = co_await database_.write(loop, [&](database::Session& session) -> Task<Result<>> {
    if (over) {
      const Cell which[] = {written(lease), wall + keep, std::string(key), kLeased, written(*over)};
      auto changed = co_await session.execute(
          "UPDATE plimsoll_idempotency SET headers = ?, expires_at = ? WHERE key = ? AND status = ? AND headers = ?",
          which);
      if (!changed) co_return std::unexpected(std::move(changed).error());
      taken = *changed > 0;
      co_return Result<>{};
    }
    auto inserted =
        co_await insert(session, key, operation, Row{lease.fingerprint, kLeased, written(lease), {}}, wall, keep);
    if (!inserted) co_return std::unexpected(std::move(inserted).error());
    taken = *inserted;
    co_return Result<>{};
  });
  if (!written_down) co_return std::unexpected(std::move(written_down).error());
  co_return taken;
}

Task<Result<bool>> IdempotencyRecords::settle(database::Session& session, std::string_view key, const Lease& lease,
                                              const RecordedAnswer& answer, Nanoseconds wall, Nanoseconds keep) const {
  const Cell cells[] = {std::int64_t{answer.status},
                        written(answer.headers),
                        answer.body,
                        wall,
                        wall + keep,
                        std::string(key),
                        kLeased,
                        written(lease)};
  auto changed = co_await session.execute(
      "UPDATE plimsoll_idempotency SET status = ?, headers = ?, body = ?, created_at = ?, expires_at = ?"
      " WHERE key = ? AND status = ? AND headers = ?",
      cells);
  if (!changed) co_return std::unexpected(std::move(changed).error());
  co_return *changed > 0;
}

Task<Result<>> IdempotencyRecords::give_up(Loop& loop, std::string_view key, const Lease& lease) const {
  co_return co_await database_.write(loop, [&](database::Session& session) -> Task<Result<>> {
    const Cell which[] = {std::string(key), kLeased, written(lease)};
    auto done =
        co_await session.query("DELETE FROM plimsoll_idempotency WHERE key = ? AND status = ? AND headers = ?", which);
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return Result<>{};
  });
}

Task<Result<>> IdempotencyRecords::leave(Loop& loop, std::string_view key, const Lease& lease) const {
  co_return co_await database_.write(loop, [&](database::Session& session) -> Task<Result<>> {
    auto left = lease;
    left.until = 0;
    const Cell which[] = {written(left), std::string(key), kLeased, written(lease)};
    auto done = co_await session.query(
        "UPDATE plimsoll_idempotency SET headers = ? WHERE key = ? AND status = ? AND headers = ?", which);
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return Result<>{};
  });
}

}  // namespace plimsoll::policy
