#include "plimsoll/queue/sql_queue.hpp"

#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/crash_point.hpp"
#include "plimsoll/base/uuid.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <random>
#include <utility>

namespace plimsoll::queue {
namespace {

using database::Cell;
using database::number_of;
using database::Rows;
using database::Session;
using database::text_of;

// `due` is set exactly while a job may be claimed, `lease` while it runs, `live_key` until it has ended: so each index
// holds only the rows its question is about.
constexpr std::string_view kIndexes[] = {
    "CREATE INDEX IF NOT EXISTS plimsoll_jobs_due ON plimsoll_jobs(queue, priority, due, id) WHERE due IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS plimsoll_jobs_lease ON plimsoll_jobs(lease, queue) WHERE lease IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS plimsoll_jobs_state ON plimsoll_jobs(state, id)",
    "CREATE INDEX IF NOT EXISTS plimsoll_jobs_finished ON plimsoll_jobs(finished_at) WHERE finished_at IS NOT NULL",
    "CREATE UNIQUE INDEX IF NOT EXISTS plimsoll_jobs_unique ON plimsoll_jobs(kind, live_key)"
    " WHERE live_key IS NOT NULL",
};
constexpr database::OwnTable kTables[] = {
    {.name = "plimsoll_jobs",
     .columns =
         "id TEXT PRIMARY KEY, kind TEXT NOT NULL, queue TEXT NOT NULL, payload TEXT NOT NULL, owner TEXT NOT NULL,"
         " unique_key TEXT, live_key TEXT, priority INTEGER NOT NULL, state TEXT NOT NULL, due INTEGER, lease INTEGER,"
         " token INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,"
         " crashes INTEGER NOT NULL DEFAULT 0, progress INTEGER NOT NULL DEFAULT 0, enqueued_at INTEGER NOT NULL,"
         " started_at INTEGER, finished_at INTEGER, error TEXT NOT NULL DEFAULT '', history TEXT NOT NULL DEFAULT '[]'",
     .indexes = kIndexes},
    {.name = "plimsoll_job_results",
     .columns = "job_id TEXT PRIMARY KEY, media_type TEXT NOT NULL, file_name TEXT NOT NULL, bytes BLOB NOT NULL"},
};

constexpr std::string_view kColumns =
    "id, kind, queue, payload, owner, priority, state, due, lease, token, attempts, failures, crashes, progress,"
    " enqueued_at, started_at, finished_at, error, history,"
    " EXISTS(SELECT 1 FROM plimsoll_job_results r WHERE r.job_id = plimsoll_jobs.id)";

constexpr std::size_t kHistory = 20;        ///< attempts whose error is kept
constexpr std::size_t kErrorBytes = 2'000;  ///< of one error
constexpr std::size_t kResultBytes = 64u << 20;

Cell optional(Nanoseconds at) { return at ? Cell{at} : Cell{}; }

Record record_of(const std::vector<Cell>& row) {
  Record job;
  job.id = text_of(row[0]), job.kind = text_of(row[1]), job.queue = text_of(row[2]);
  job.payload = text_of(row[3]), job.owner = text_of(row[4]);
  job.priority = static_cast<int>(number_of(row[5]));
  job.standing = {.state = parse_state(text_of(row[6])).value_or(State::dead),
                  .due = number_of(row[7]),
                  .attempts = static_cast<int>(number_of(row[10])),
                  .failures = static_cast<int>(number_of(row[11])),
                  .crashes = static_cast<int>(number_of(row[12])),
                  .token = number_of(row[9]),
                  .lease = number_of(row[8])};
  job.progress = static_cast<int>(number_of(row[13]));
  job.enqueued_at = number_of(row[14]), job.started_at = number_of(row[15]), job.finished_at = number_of(row[16]);
  job.error = text_of(row[17]), job.history = text_of(row[18]);
  job.has_result = number_of(row[19]) != 0;
  return job;
}

double random_fraction() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return std::uniform_real_distribution<double>{0, 1}(engine);
}

/// At most `size` bytes, not cut within a character (UTF-8).
std::string_view clipped(std::string_view text, std::size_t size) {
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

/// Appends to the history, of which the last entries stay.
void note(Record& job, std::string_view error, std::string_view cause, Nanoseconds now) {
  job.error = clipped(error, kErrorBytes);
  Arena arena;
  auto old = json::parse(job.history, arena);
  auto entries = old ? old->array() : std::span<json::Value>{};
  if (entries.size() >= kHistory) entries = entries.subspan(entries.size() - kHistory + 1);
  std::string out;
  json::Writer writer{out};
  writer.begin_array();
  for (auto& entry : entries) writer.value(entry);
  writer.begin_object().key("attempt").integer(job.standing.attempts).key("at").integer(now / kMillisecond);
  writer.key("error").string(job.error);
  if (!cause.empty()) writer.key("cause").string(clipped(cause, kErrorBytes));
  writer.end_object().end_array();
  job.history = std::move(out);
}

constexpr std::size_t kAsked = 16;  ///< ids of one statement
/// Jobs that are asked for by their ids: where more run, all are counted.
constexpr std::size_t kFollowed = 4 * kAsked;

}  // namespace

void ClaimHorizon::found(int priority, Nanoseconds first, Nanoseconds last, bool all, Nanoseconds wall) noexcept {
  auto& from = due.at(static_cast<std::size_t>(priority - 1));
  if (first > 0 && first < from) {
    late_ = true;
    margin = std::clamp(2 * (from + margin - first), margin, kWidest);
  }
  from = (all ? wall : last) - margin;
}

void ClaimHorizon::looked(bool whole, Nanoseconds wall, Nanoseconds steady) noexcept {
  looked_at = wall;
  if (!whole) return;
  whole_at = steady;
  if (!std::exchange(late_, false)) margin = std::max(kMargin, margin / 2);
}

SqlQueue::SqlQueue(database::Database& database, const Clock& clock, std::vector<Kind> kinds, Retention retention)
    : database_(database),
      clock_(clock),
      kinds_(std::move(kinds)),
      retention_(retention),
      due_("SELECT " + std::string(kColumns) +
           " FROM plimsoll_jobs WHERE queue = ? AND priority = ? AND due >= ? AND due <= ? ORDER BY due, id LIMIT ?" +
           std::string(database.dialect().claim_rows())) {}

Task<Result<>> SqlQueue::prepare(Loop& loop) {
  co_return co_await database_.write(loop, [&](Session& session) -> Task<Result<>> {
    for (const auto& table : kTables)
      if (auto made = co_await database::prepare_own_table(session, database_.dialect(), table); !made) co_return made;
    co_return Result<>{};
  });
}

void SqlQueue::on_notify(std::function<void()> wake) {
  std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
}

void SqlQueue::notify() noexcept {
  std::lock_guard lock(mutex_);
  if (wake_) wake_();
}

const Kind* SqlQueue::kind(std::string_view name) const noexcept {
  auto found = std::ranges::find(kinds_, name, &Kind::name);
  return found == kinds_.end() ? nullptr : &*found;
}

const RetryRule& SqlQueue::rule(std::string_view name) const noexcept {
  static constexpr RetryRule kDefault{};
  auto* known = kind(name);
  return known ? known->retry : kDefault;
}

Task<Result<std::string>> SqlQueue::enqueue(Session& session, const Job& job) {
  auto* known = kind(job.kind);
  if (!known) co_return plimsoll::fail(kUnknownKind, "`" + job.kind + "`");
  if (!job.unique_key.empty()) {
    const Cell key[] = {job.kind, job.unique_key};
    auto same = co_await session.query("SELECT id FROM plimsoll_jobs WHERE kind = ? AND live_key = ?", key);
    if (!same) co_return std::unexpected(std::move(same).error());
    if (!same->empty()) co_return text_of((*same)[0][0]);
  }
  const auto now = clock_.wall();
  auto id = uuid7(now).to_string();
  const auto unique = job.unique_key.empty() ? Cell{} : Cell{job.unique_key};
  const int priority = job.priority ? std::clamp(job.priority, 1, 9) : known->priority;
  const Cell row[] = {id,
                      job.kind,
                      known->queue,
                      job.payload,
                      job.owner,
                      unique,
                      unique,
                      std::int64_t{priority},
                      std::string(to_string(job.delay > 0 ? State::scheduled : State::available)),
                      now + std::max<Nanoseconds>(job.delay, 0),
                      now};
  auto made = co_await session.query(
      "INSERT INTO plimsoll_jobs(id, kind, queue, payload, owner, unique_key, live_key, priority, state, due,"
      " enqueued_at) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      row);
  if (!made) co_return std::unexpected(std::move(made).error());
  co_return id;
}

Task<Result<std::optional<Record>>> SqlQueue::load(Session& session, std::string_view id) {
  static const auto kSelect = "SELECT " + std::string(kColumns) + " FROM plimsoll_jobs WHERE id = ?";
  const Cell key[] = {std::string(id)};
  auto rows = co_await session.query(kSelect, key);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  if (rows->empty()) co_return std::optional<Record>{};
  co_return record_of((*rows)[0]);
}

Task<Result<>> SqlQueue::store(Session& session, const Record& job) {
  const auto& at = job.standing;
  const bool waits = at.state == State::scheduled || at.state == State::available || at.state == State::retryable;
  const Cell row[] = {std::string(to_string(at.state)),
                      waits ? Cell{at.due} : Cell{},
                      at.state == State::running ? Cell{at.lease} : Cell{},
                      at.token,
                      std::int64_t{at.attempts},
                      std::int64_t{at.failures},
                      std::int64_t{at.crashes},
                      std::int64_t{job.progress},
                      optional(job.started_at),
                      optional(job.finished_at),
                      job.error,
                      job.history,
                      std::int64_t{ended(at.state)},
                      job.id};
  auto stored = co_await session.query(
      "UPDATE plimsoll_jobs SET state = ?, due = ?, lease = ?, token = ?, attempts = ?, failures = ?, crashes = ?,"
      " progress = ?, started_at = ?, finished_at = ?, error = ?, history = ?,"
      " live_key = CASE WHEN ? THEN NULL ELSE unique_key END WHERE id = ?",
      row);
  if (!stored) co_return std::unexpected(std::move(stored).error());
  co_return Result<>{};
}

template <class F>
Task<Result<bool>> SqlQueue::change(Loop& loop, std::string_view id, F move) {
  bool changed = false;
  auto written = co_await database_.write(loop, [&](Session& session) -> Task<Result<>> {
    auto job = co_await load(session, id);
    if (!job) co_return std::unexpected(std::move(job).error());
    if (!*job || !move(**job)) co_return Result<>{};
    changed = true;
    co_return co_await store(session, **job);
  });
  if (!written) co_return std::unexpected(std::move(written).error());
  co_return changed;
}

Task<Result<std::optional<Record>>> SqlQueue::find(Loop& loop, std::string_view id) {
  static const auto kSelect = "SELECT " + std::string(kColumns) + " FROM plimsoll_jobs WHERE id = ?";
  const Cell key[] = {std::string(id)};
  auto rows = co_await database_.read(loop, kSelect, key, true);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  if (rows->empty()) co_return std::optional<Record>{};
  co_return record_of((*rows)[0]);
}

Task<Result<std::optional<Output>>> SqlQueue::result(Loop& loop, std::string_view id) {
  const Cell key[] = {std::string(id)};
  auto rows = co_await database_.read(
      loop, "SELECT media_type, bytes, file_name FROM plimsoll_job_results WHERE job_id = ?", key, false);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  if (rows->empty()) co_return std::optional<Output>{};
  auto& row = (*rows)[0];
  co_return Output{.media_type = text_of(row[0]), .bytes = text_of(row[1]), .file_name = text_of(row[2])};
}

Task<Result<std::vector<Record>>> SqlQueue::list(Loop& loop, const Filter& filter) {
  std::string sql = "SELECT " + std::string(kColumns) + " FROM plimsoll_jobs WHERE 1 = 1";
  std::vector<Cell> values;
  auto narrow = [&](std::string_view condition, std::string value) {
    sql += condition;
    values.emplace_back(std::move(value));
  };
  if (filter.state) narrow(" AND state = ?", std::string(to_string(*filter.state)));
  if (!filter.kind.empty()) narrow(" AND kind = ?", filter.kind);
  if (!filter.before.empty()) narrow(" AND id < ?", filter.before);
  sql += " ORDER BY id DESC LIMIT ?";
  values.emplace_back(std::int64_t{std::clamp(filter.limit, 1, 1000)});
  auto rows = co_await database_.read(loop, sql, values, false);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::vector<Record> jobs;
  for (auto& row : *rows) jobs.push_back(record_of(row));
  co_return jobs;
}

Task<Result<std::vector<Backlog>>> SqlQueue::backlog(Loop& loop) {
  // Each state by its part of the index plimsoll_jobs_state: of what is completed nothing is read.
  auto rows = co_await database_.read(
      loop,
      "SELECT kind, state, count(*), min(coalesce(due, enqueued_at)) FROM (SELECT kind, state, due, enqueued_at"
      " FROM plimsoll_jobs WHERE state IN ('scheduled', 'available', 'running', 'retryable', 'dead') LIMIT 100000)"
      " AS counted GROUP BY kind, state",
      {}, false);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::vector<Backlog> all;
  for (auto& row : *rows)
    all.push_back({.kind = text_of(row[0]),
                   .state = parse_state(text_of(row[1])).value_or(State::dead),
                   .count = number_of(row[2]),
                   .oldest = number_of(row[3])});
  co_return all;
}

Task<Result<bool>> SqlQueue::cancel(Loop& loop, std::string_view id) {
  const auto now = clock_.wall();
  auto done = co_await change(loop, id, [&](Record& job) {
    if (!job.standing.cancel()) return false;
    job.finished_at = now;
    return true;
  });
  co_return done;
}

Task<Result<bool>> SqlQueue::requeue(Loop& loop, std::string_view id) {
  const auto now = clock_.wall();
  auto done = co_await change(loop, id, [&](Record& job) {
    if (!job.standing.requeue(now)) return false;
    job.started_at = job.finished_at = 0;
    job.progress = 0;
    return true;
  });
  if (done && *done) notify();
  co_return done;
}

Task<Result<std::vector<std::string>>> SqlQueue::running(Session& session, const std::string& queue,
                                                         const ClaimHorizon& horizon, bool whole) {
  std::vector<std::string> all;
  const auto keep = [&](const Rows& rows) {
    for (const auto& row : rows)
      if (number_of(row[1]) != 0) all.push_back(text_of(row[0]));
  };
  if (whole || horizon.running.size() > kFollowed) {
    const Cell which[] = {queue};
    auto rows = co_await session.query("SELECT id, 1 FROM plimsoll_jobs WHERE lease IS NOT NULL AND queue = ?", which);
    if (!rows) co_return std::unexpected(std::move(rows).error());
    keep(*rows);
    co_return all;
  }
  // What ran at the last look, if it still does, and what was claimed or renewed since.
  static const auto kStill = [] {
    // With a condition on `lease` PostgreSQL would take the index of leases, entries of jobs that have ended and all.
    std::string sql = "SELECT id, CASE WHEN lease IS NULL THEN 0 ELSE 1 END FROM plimsoll_jobs WHERE id IN (?";
    for (std::size_t i = 1; i < kAsked; ++i) sql += ", ?";
    return sql + ")";
  }();
  for (std::size_t at = 0; at < horizon.running.size(); at += kAsked) {
    std::vector<Cell> ids(kAsked, std::string{});
    for (std::size_t i = 0; i < kAsked && at + i < horizon.running.size(); ++i) ids[i] = horizon.running[at + i];
    auto rows = co_await session.query(kStill, ids);
    if (!rows) co_return std::unexpected(std::move(rows).error());
    keep(*rows);
  }
  auto shortest = kLease;
  for (const auto& kind : kinds_)
    if (kind.queue == queue) shortest = std::min(shortest, kind.lease);
  const Cell since[] = {horizon.lease_from(shortest), queue};
  auto rows = co_await session.query("SELECT id, 1 FROM plimsoll_jobs WHERE lease >= ? AND queue = ?", since);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  keep(*rows);
  std::ranges::sort(all);
  const auto twice = std::ranges::unique(all);
  all.erase(twice.begin(), twice.end());
  co_return all;
}

Task<Result<Nanoseconds>> SqlQueue::until_due(Loop& loop, std::string_view queue) {
  // By the first entry of each priority in the index of what is due: one statement, without a transaction.
  static const auto kFirst = [] {
    std::string sql = "SELECT ";
    for (int priority = 1; priority <= ClaimHorizon::kPriorities; ++priority)
      sql += std::string(priority > 1 ? ", " : "") +
             "(SELECT min(due) FROM plimsoll_jobs WHERE queue = ? AND priority = " + std::to_string(priority) +
             " AND due >= ?)";
    return sql;
  }();
  const auto now = clock_.wall(), steady = clock_.steady();
  ClaimHorizon horizon;
  {
    std::lock_guard lock(mutex_);
    if (auto known = looks_.find(queue); known != looks_.end()) horizon = known->second;
  }
  const bool whole = database_.dialect().claim_rows().empty() || horizon.is_whole(now, steady);
  std::vector<Cell> from;
  for (int priority = 1; priority <= ClaimHorizon::kPriorities; ++priority) {
    from.emplace_back(std::string(queue));
    from.emplace_back(horizon.due_from(priority, whole));
  }
  auto rows = co_await database_.read(loop, kFirst, from, true);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  auto next = kNever;
  for (int priority = 1; priority <= ClaimHorizon::kPriorities; ++priority) {
    const auto first = number_of((*rows)[0][static_cast<std::size_t>(priority - 1)]);
    if (first > 0) next = std::min(next, std::max<Nanoseconds>(first - now, 0));
    const bool due = first > 0 && first <= now;
    horizon.found(priority, due ? first : 0, due ? first : 0, !due, now);
  }
  horizon.looked(whole, now, steady);
  std::lock_guard lock(mutex_);
  looks_.insert_or_assign(std::string(queue), std::move(horizon));
  co_return next;
}

Task<Result<std::vector<Record>>> SqlQueue::claim(Loop& loop, std::string_view queue, int limit) {
  auto shared = std::ranges::find(kinds_, queue, &Kind::queue);
  const int allowed = shared == kinds_.end() ? limit : shared->concurrency;
  const auto steady = clock_.steady();
  const std::string name(queue);
  ClaimHorizon before;
  {
    std::lock_guard lock(mutex_);
    if (auto known = horizons_.find(queue); known != horizons_.end()) before = known->second;
  }
  // Where rows of others are not passed over, transactions that are open leave no entries either.
  const bool whole = database_.dialect().claim_rows().empty() || before.is_whole(clock_.wall(), steady);
  ClaimHorizon after;
  std::vector<Record> claimed;
  auto written = co_await database_.write(loop, [&](Session& session) -> Task<Result<>> {
    claimed.clear();
    after = before;
    // What runs is counted, and what is claimed counts: instances do it one after the other.
    session.alone("plimsoll.queue." + name);
    auto runs = co_await running(session, name, before, whole);
    if (!runs) co_return std::unexpected(std::move(runs).error());
    after.running = std::move(*runs);
    // Only now: others wait for this claim to end, so what they claim is leased from later times.
    const auto now = clock_.wall();
    const auto most = std::min<std::int64_t>(limit, allowed - std::ssize(after.running));
    for (int priority = 1; priority <= ClaimHorizon::kPriorities && std::ssize(claimed) < most; ++priority) {
      const auto wanted = most - std::ssize(claimed);
      const Cell due[] = {name, std::int64_t{priority}, before.due_from(priority, whole), now, wanted};
      auto rows = co_await session.query(due_, due);
      if (!rows) co_return std::unexpected(std::move(rows).error());
      const auto first = std::ssize(claimed);
      for (auto& row : *rows) claimed.push_back(record_of(row));
      const bool any = std::ssize(claimed) > first;
      after.found(priority, any ? claimed[static_cast<std::size_t>(first)].standing.due : 0,
                  any ? claimed.back().standing.due : 0, std::ssize(*rows) < wanted, now);
    }
    after.looked(whole, now, steady);
    for (auto& job : claimed) {
      auto* known = kind(job.kind);
      job.standing.claim(now, known ? known->lease : kLease);
      job.started_at = now;
      if (auto stored = co_await store(session, job); !stored) co_return stored;
      after.running.push_back(job.id);
    }
    co_return Result<>{};
  });
  if (!written) co_return std::unexpected(std::move(written).error());
  {
    std::lock_guard lock(mutex_);
    horizons_.insert_or_assign(name, std::move(after));
  }
  if (!claimed.empty()) crash_point("job.claimed");
  co_return claimed;
}

Task<Result<std::vector<std::string>>> SqlQueue::renew(Loop& loop, std::span<const Claim> claims) {
  std::vector<std::string> lost;
  const auto now = clock_.wall();
  auto written = co_await database_.write(loop, [&](Session& session) -> Task<Result<>> {
    lost.clear();
    for (auto& claim : claims) {
      const Cell row[] = {now + claim.lease, std::string(claim.id), claim.token};
      auto kept = co_await session.execute(
          "UPDATE plimsoll_jobs SET lease = ? WHERE id = ? AND token = ? AND lease IS NOT NULL", row);
      if (!kept) co_return std::unexpected(std::move(kept).error());
      if (*kept == 0) lost.emplace_back(claim.id);
    }
    co_return Result<>{};
  });
  if (!written) co_return std::unexpected(std::move(written).error());
  co_return lost;
}

Task<Result<>> SqlQueue::complete(Session& session, const Claim& claim, const Output& output) {
  if (output.bytes.size() > kResultBytes)
    co_return plimsoll::fail(kInternal, "the result of a job is larger than 64 MiB");
  const Cell row[] = {clock_.wall(), std::string(claim.id), claim.token};
  auto held = co_await session.execute(
      "UPDATE plimsoll_jobs SET state = 'completed', progress = 100, lease = NULL, live_key = NULL, finished_at = ?,"
      " error = '' WHERE id = ? AND token = ? AND state = 'running'",
      row);
  if (!held) co_return std::unexpected(std::move(held).error());
  if (*held == 0) co_return plimsoll::fail(kStaleClaim);
  if (!output.media_type.empty()) {
    const Cell result[] = {std::string(claim.id), output.media_type, output.file_name, output.bytes};
    auto kept = co_await session.query(
        "INSERT INTO plimsoll_job_results(job_id, media_type, file_name, bytes) VALUES(?, ?, ?, ?)"
        " ON CONFLICT(job_id) DO UPDATE SET media_type = excluded.media_type, file_name = excluded.file_name,"
        " bytes = excluded.bytes",
        result);
    if (!kept) co_return std::unexpected(std::move(kept).error());
  }
  crash_point("job.completing");
  co_return Result<>{};
}

Task<Result<>> SqlQueue::fail(Loop& loop, const Claim& claim, const Failure& failure) {
  const auto now = clock_.wall();
  auto failed = co_await change(loop, claim.id, [&](Record& job) {
    if (!job.standing.fail(claim.token, rule(job.kind), now, random_fraction(), failure.retryable, failure.retry_after))
      return false;
    note(job, failure.error, failure.cause, now);
    if (job.standing.state == State::dead) job.finished_at = now;
    return true;
  });
  if (!failed) co_return std::unexpected(std::move(failed).error());
  if (!*failed) co_return plimsoll::fail(kStaleClaim);
  co_return Result<>{};
}

Task<Result<>> SqlQueue::release(Loop& loop, const Claim& claim) {
  const auto now = clock_.wall();
  auto freed = co_await change(loop, claim.id, [&](Record& job) { return job.standing.release(claim.token, now); });
  if (!freed) co_return std::unexpected(std::move(freed).error());
  if (!*freed) co_return plimsoll::fail(kStaleClaim);
  co_return Result<>{};
}

Task<Result<>> SqlQueue::progress(Loop& loop, const Claim& claim, int percent) {
  const Cell row[] = {std::int64_t{std::clamp(percent, 0, 100)}, std::string(claim.id), claim.token};
  bool held = false;
  auto written = co_await database_.write(loop, [&](Session& session) -> Task<Result<>> {
    auto kept = co_await session.execute(
        "UPDATE plimsoll_jobs SET progress = ? WHERE id = ? AND token = ? AND state = 'running'", row);
    if (!kept) co_return std::unexpected(std::move(kept).error());
    held = *kept > 0;
    co_return Result<>{};
  });
  if (!written) co_return written;
  if (!held) co_return plimsoll::fail(kStaleClaim);
  co_return Result<>{};
}

Task<Result<int>> SqlQueue::expire(Loop& loop, std::vector<std::string>* dead) {
  constexpr int kMost = 100;
  const auto now = clock_.wall(), steady = clock_.steady();
  ClaimHorizon horizon;
  {
    std::lock_guard lock(mutex_);
    horizon = expired_;
  }
  const bool whole = database_.dialect().claim_rows().empty() || horizon.is_whole(now, steady);
  const Cell between[] = {horizon.expired_from(whole), now, std::int64_t{kMost}};
  // Asked outside a transaction first: mostly there is nothing, and then nothing is written.
  auto stuck = co_await database_.read(
      loop, "SELECT id FROM plimsoll_jobs WHERE lease >= ? AND lease <= ? ORDER BY lease LIMIT ?", between, true);
  if (!stuck) co_return std::unexpected(std::move(stuck).error());
  int freed = 0;
  for (auto& row : *stuck) {
    const auto id = text_of(row[0]);
    bool ends = false;
    auto moved = co_await change(loop, id, [&](Record& job) {
      ends = false;
      if (!job.standing.expire(rule(job.kind), now)) return false;
      note(job, "the worker was not heard of again", "crashed, killed or cut off", now);
      ends = job.standing.state == State::dead;
      if (ends) job.finished_at = now;
      return true;
    });
    if (!moved) co_return std::unexpected(std::move(moved).error());
    freed += *moved;
    if (dead && *moved && ends) dead->push_back(id);
  }
  // Where there may be more the next look begins where this one did.
  if (std::ssize(*stuck) == kMost) co_return freed;
  horizon.looked(whole, now, steady);
  std::lock_guard lock(mutex_);
  expired_ = std::move(horizon);
  co_return freed;
}

Task<Result<int>> SqlQueue::correct_times(Loop& loop) {
  // Each by the part of the index plimsoll_jobs_state that is of its state.
  struct Correction {
    std::string_view wrong, change;
  };
  static constexpr Correction kCorrections[] = {
      {"state = 'available' AND due > ?", "due = ?"},
      {"state = 'scheduled' AND enqueued_at > ?", "due = due - enqueued_at + ?, enqueued_at = ?"},
      {"state = 'retryable' AND started_at > ?", "due = due - started_at + ?, started_at = ?"},
      {"state = 'running' AND lease > ?", "lease = ?"},
  };
  constexpr std::string_view kMost = "500";  // of one transaction
  auto longest = kLease;
  for (const auto& kind : kinds_) longest = std::max(longest, kind.lease);
  int sum = 0;
  for (const auto& [wrong, change] : kCorrections) {
    const auto now = clock_.wall() + (change.starts_with("lease") ? longest : 0);
    const auto which = " FROM plimsoll_jobs WHERE " + std::string(wrong) + " LIMIT ";
    for (;;) {
      // Asked outside a transaction first: mostly there is nothing, and then nothing is written.
      const Cell limit[] = {now};
      auto any = co_await database_.read(loop, "SELECT id" + which + "1", limit, false);
      if (!any) co_return std::unexpected(std::move(any).error());
      if (any->empty()) break;
      const std::vector<Cell> values(2 + static_cast<std::size_t>(std::ranges::count(change, '?')), Cell{now});
      const auto sql = "UPDATE plimsoll_jobs SET " + std::string(change) + " WHERE " + std::string(wrong) +
                       " AND id IN (SELECT id" + which + std::string(kMost) + ")";
      auto written = co_await database_.write(loop, [&](Session& session) -> Task<Result<>> {
        auto corrected = co_await session.execute(sql, values);
        if (!corrected) co_return std::unexpected(std::move(corrected).error());
        sum += static_cast<int>(*corrected);
        co_return Result<>{};
      });
      if (!written) co_return std::unexpected(std::move(written).error());
    }
  }
  if (sum > 0) notify();
  co_return sum;
}

Task<Result<int>> SqlQueue::prune(Loop& loop) {
  const auto now = clock_.wall();
  const Cell limits[] = {now - std::min(retention_.completed, retention_.dead), now - retention_.dead,
                         now - retention_.completed};
  int removed = 0;
  auto written = co_await database_.write(loop, [&](Session& session) -> Task<Result<>> {
    auto gone = co_await session.query(
        "DELETE FROM plimsoll_jobs WHERE id IN (SELECT id FROM plimsoll_jobs WHERE finished_at < ?"
        " AND finished_at < CASE state WHEN 'dead' THEN CAST(? AS BIGINT) ELSE CAST(? AS BIGINT) END ORDER BY "
        "finished_at LIMIT 500) RETURNING id",
        limits);
    if (!gone) co_return std::unexpected(std::move(gone).error());
    removed = static_cast<int>(gone->size());
    for (auto& row : *gone) {
      const Cell id[] = {row[0]};
      auto result = co_await session.query("DELETE FROM plimsoll_job_results WHERE job_id = ?", id);
      if (!result) co_return std::unexpected(std::move(result).error());
    }
    co_return Result<>{};
  });
  if (!written) co_return std::unexpected(std::move(written).error());
  co_return removed;
}

}  // namespace plimsoll::queue
