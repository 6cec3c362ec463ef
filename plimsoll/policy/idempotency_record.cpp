#include "plimsoll/policy/idempotency_record.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::policy {
namespace {

using database::Cell;

/// Parts of a digest, each behind its length, so that none can be moved into the next.
class Parts {
 public:
  Parts& add(std::string_view part) {
    const auto size = std::uint64_t{part.size()};
    hash_.update({reinterpret_cast<const char*>(&size), sizeof size});
    hash_.update(part);
    return *this;
  }
  Digest finish() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

}  // namespace

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
  Parts parts;
  parts.add(principal ? principal->tenant : "").add(principal ? principal->scheme : "");
  parts.add(principal ? principal->subject : "").add(operation).add(key);
  const auto digest = parts.finish();
  return to_base64url(as_text(digest));
}

bool is_passing(std::uint16_t status) {
  constexpr std::uint16_t kPassing[] = {408, 412, 425, 428, 429};
  return std::ranges::find(kPassing, status) != std::end(kPassing);
}

Digest fingerprint_of(const Request& request, const Context& context) {
  Parts parts;
  parts.add(request.method).add(request.path).add(request.query).add(context.input.body_text);
  if (request.headers.contains("if-match")) parts.add(request.headers.joined("if-match"));
  // Base paths of versions are in the path already.
  const auto& version = context.services.version;
  if (!version.empty() && version[0] != '/') parts.add("version").add(version);
  return parts.finish();
}

Task<Result<>> read_whole_body(Request& request, Context& context) {
  if (!request.body || context.input.body_text.data()) co_return Result<>{};
  const auto memory = context.services.shared->of<BodyMemory>();
  auto& whole = context.keep<WholeBody>(context, *memory, context.body_limit, request.content_length);
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
  if (!body || response.status >= 500 || is_passing(response.status)) return nullptr;
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

Task<Result<std::shared_ptr<const RecordedAnswer>>> IdempotencyRecords::find(Loop& loop, std::string_view key,
                                                                             Nanoseconds wall) const {
  const Cell which[] = {std::string(key), wall};
  auto rows = co_await database_.read(
      loop, "SELECT fingerprint, status, headers, body FROM plimsoll_idempotency WHERE key = ? AND expires_at > ?",
      which, true);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  if (rows->empty()) co_return std::shared_ptr<const RecordedAnswer>{};
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
  co_return std::shared_ptr<const RecordedAnswer>(std::move(found));
}

Task<Result<bool>> IdempotencyRecords::insert(database::Session& session, std::string_view key,
                                              std::string_view operation, const RecordedAnswer& answer,
                                              Nanoseconds wall, Nanoseconds keep) const {
  std::string headers;
  json::Writer out{headers};
  out.begin_array();
  for (auto& [name, value] : answer.headers) out.begin_array().string(name).string(value).end_array();
  out.end_array();
  const Cell row[] = {std::string(key),
                      to_base64url(as_text(answer.fingerprint)),
                      std::string(operation),
                      std::int64_t{answer.status},
                      std::move(headers),
                      answer.body,
                      wall,
                      wall + keep};
  auto inserted = co_await session.query(
      "INSERT INTO plimsoll_idempotency(key, fingerprint, operation, status, headers, body, created_at, expires_at)"
      " VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(key) DO UPDATE SET fingerprint = excluded.fingerprint,"
      " operation = excluded.operation, status = excluded.status, headers = excluded.headers, body = excluded.body,"
      " created_at = excluded.created_at, expires_at = excluded.expires_at"
      " WHERE plimsoll_idempotency.expires_at <= excluded.created_at RETURNING 1",
      row);
  if (!inserted) co_return std::unexpected(std::move(inserted).error());
  if (inserted->empty()) co_return false;
  const Cell now[] = {wall};
  auto pruned = co_await session.query(
      "DELETE FROM plimsoll_idempotency WHERE key IN (SELECT key FROM plimsoll_idempotency WHERE expires_at <= ?"
      " ORDER BY expires_at LIMIT 2" +
          std::string(database_.dialect().claim_rows()) + ")",
      now);
  if (!pruned) co_return std::unexpected(std::move(pruned).error());
  co_return true;
}

}  // namespace plimsoll::policy
