#include "plimsoll/database/postgres_replicas.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/postgres_error.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <algorithm>

namespace plimsoll::database {
namespace {

constexpr Nanoseconds kLook = 250 * kMillisecond;  ///< between two looks, while nobody waits
constexpr Nanoseconds kSoon = kMillisecond;        ///< between two, while somebody does
constexpr Nanoseconds kAnswer = 2 * kSecond;       ///< of a server that is looked at
/// A replica that is further behind than this will not be there in time: no read waits for it.
constexpr Nanoseconds kNear = kSecond;

constexpr std::string_view kCluster = "SELECT system_identifier::text FROM pg_control_system()";
/// What is flushed, by which replicas are judged: what is inserted may stand behind the head of a page that nobody has
/// written yet. And what is inserted, which is behind every commit.
constexpr std::string_view kPrimaryAt =
    "SELECT (pg_current_wal_flush_lsn()-'0/0')::bigint,(pg_current_wal_insert_lsn()-'0/0')::bigint";
constexpr std::string_view kReplicaAt = "SELECT pg_is_in_recovery(),coalesce(pg_last_wal_replay_lsn()-'0/0',0)::bigint";

/// A replica's pool: what it has to say the thread that looks says.
PostgresOptions for_replica(PostgresOptions options, std::function<void()> opened) {
  options.replicas.clear();
  options.log = nullptr;
  options.acquired = nullptr;
  // Where its connections are all in use the primary has time left to answer.
  options.acquire = config::Duration{options.acquire.nanoseconds / 4};
  options.opened = std::move(opened);
  return options;
}

std::string name_of(const PostgresTarget& target) {
  const auto& host = target.hosts.front();
  return (host.name.empty() ? host.address : host.name) + ":" + std::to_string(host.port);
}

/// One who waits for a replica.
struct Counted {
  explicit Counted(std::atomic<int>& in) : count(in) { count.fetch_add(1, std::memory_order_acq_rel); }
  ~Counted() { count.fetch_sub(1, std::memory_order_acq_rel); }
  Counted(const Counted&) = delete;
  std::atomic<int>& count;
};

}  // namespace

PostgresReplicas::Replica::Replica(PostgresTarget target, const PostgresOptions& options,
                                   std::shared_ptr<net::Resolver> resolver)
    : name_(name_of(target)),
      reason_("it has not been looked at yet"),
      pool_(std::move(target), for_replica(options, [this] { opened(); }), std::move(resolver)) {}

void PostgresReplicas::Replica::opened() {
  looked_.look([&] {
    ++epoch_;
    replayed_.store(0, std::memory_order_release);
    return 0;
  });
}

PostgresReplicas::PostgresReplicas(PostgresPool& primary, std::vector<PostgresTarget> targets,
                                   const PostgresOptions& options, const std::shared_ptr<net::Resolver>& resolver)
    : options_(options), primary_(primary) {
  for (auto& target : targets) replicas_.emplace_back(std::move(target), options, resolver);
}

PostgresReplicas::~PostgresReplicas() {
  if (!thread_.joinable()) return;
  loop_.post([this] {
    for (auto& scope : watching_) scope.stop(Stop::drain);
  });
  thread_.join();
}

Result<> PostgresReplicas::start() {
  auto first = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    Line line;
    bool fresh = false;
    auto cluster = co_await ask(loop, line, primary_, kCluster, fresh);
    if (!cluster) co_return std::unexpected(std::move(cluster).error());
    auto at = co_await ask(loop, line, primary_, kPrimaryAt, fresh);
    if (!at) co_return std::unexpected(std::move(at).error());
    if (cluster->empty() || at->empty()) co_return std::unexpected(postgres_unavailable("it does not say where it is"));
    cluster_ = text_at(cluster->front(), 0);
    history_.primary_at(static_cast<Position>(number_at(at->front(), 0)), loop.now());
    raise(known_, static_cast<Position>(number_at(at->front(), 1)));
    co_return Result<>{};
  });
  if (!first) return first;
  for (auto& replica : replicas_) replica.pool_.start_later();
  loop_.spawn(watching_.emplace_back(), watch_primary());
  for (auto& replica : replicas_) loop_.spawn(watching_.emplace_back(), watch(replica));
  thread_ = std::thread([this] { loop_.run(); });
  return {};
}

PostgresReplicas::Replica* PostgresReplicas::ready(Position needs) noexcept {
  if (unplaced_.load(std::memory_order_acquire) > 0) return nullptr;
  auto first = turn_.fetch_add(1, std::memory_order_relaxed) % replicas_.size();
  Replica* before = nullptr;
  for (auto& replica : replicas_) {
    const bool passed = first > 0;
    if (passed) --first;
    if (!replica.shows(needs)) continue;
    if (!passed) return &replica;
    if (!before) before = &replica;
  }
  return before;
}

Task<PostgresReplicas::Replica*> PostgresReplicas::wait_for(Loop& loop, Position needs) {
  Replica* nearest = nullptr;
  for (auto& replica : replicas_) {
    const auto lag = replica.lag_.load(std::memory_order_relaxed);
    if (!replica.usable_.load(std::memory_order_acquire) || lag < 0 || lag > kNear) continue;
    if (!nearest || replica.replayed_.load() > nearest->replayed_.load()) nearest = &replica;
  }
  if (!nearest || unplaced_.load(std::memory_order_acquire) > 0) co_return nullptr;
  const Counted counted{nearest->waiting_};
  nearest->wanted_.wake_all();
  const auto until = system_clock().steady() + kWait;
  for (auto now = system_clock().steady(); now < until; now = system_clock().steady()) {
    auto woken = co_await nearest->looked_.wait(loop, until - now, [&] { return nearest->shows(needs); });
    if (!woken || !nearest->usable_.load(std::memory_order_acquire)) break;
    if (nearest->shows(needs)) co_return nearest;
  }
  co_return nullptr;
}

void PostgresReplicas::committed(std::uint64_t caller, Position at) noexcept {
  if (at == 0) {
    unplaced_.fetch_add(1, std::memory_order_acq_rel);
    return;
  }
  written_.wrote(caller, at);
  raise(known_, at);
}

Position PostgresReplicas::replayed_by_all() const noexcept {
  Position least = 0;
  bool any = false;
  for (const auto& replica : replicas_) {
    if (!replica.usable_.load(std::memory_order_acquire)) continue;
    const auto replayed = replica.replayed_.load(std::memory_order_acquire);
    least = any ? std::min(least, replayed) : replayed;
    any = true;
  }
  return least;
}

std::vector<ReplicaState> PostgresReplicas::states() const {
  std::vector<ReplicaState> all;
  for (const auto& replica : replicas_) {
    auto& state = all.emplace_back();
    state.name = replica.name_;
    state.usable = replica.usable_.load(std::memory_order_acquire);
    state.lag = replica.lag_.load(std::memory_order_relaxed);
    state.reads = replica.reads.load(std::memory_order_relaxed);
    const std::lock_guard lock(replica.mutex_);
    state.reason = replica.reason_;
  }
  return all;
}

Task<Result<Rows>> PostgresReplicas::ask(Loop& loop, Line& line, PostgresPool& of, std::string_view sql, bool& fresh) {
  if (line && (line->broken() || line->dirty())) line.reset();
  if (!line) {
    auto made = co_await of.connect(loop);
    if (!made) co_return std::unexpected(std::move(made).error());
    line = std::move(*made);
    line->attach(loop);
    fresh = true;
  }
  RowKeeper keeper;
  const PostgresConnection::Statement statement{.sql = sql, .into = &keeper, .limit = kAnswer};
  auto done = co_await within(loop, kAnswer, line->run(statement));
  if (!done) {
    line.reset();
    co_return std::unexpected(std::move(done).error());
  }
  co_return std::move(keeper.rows);
}

Task<> PostgresReplicas::watch_primary() {
  Line line;
  for (;;) {
    try {
      bool fresh = false;
      const auto unplaced = unplaced_.load(std::memory_order_acquire);
      auto at = co_await ask(loop_, line, primary_, kPrimaryAt, fresh);
      if (at && !at->empty()) {
        const auto position = static_cast<Position>(number_at(at->front(), 0));
        const auto inserted = static_cast<Position>(number_at(at->front(), 1));
        history_.primary_at(position, loop_.now());
        raise(known_, position);
        if (unplaced > 0) {
          raise(known_, inserted);
          written_.raise_floor(inserted);
          unplaced_.fetch_sub(unplaced, std::memory_order_acq_rel);
        }
      }
      written_.forget(replayed_by_all());
    } catch (const std::bad_alloc&) { rest_of_memory(); }
    const bool rested = co_await pause(loop_, kLook);
    if (!rested) co_return;
  }
}

Task<> PostgresReplicas::watch(Replica& replica) {
  Line line;
  for (;;) {
    try {
      auto looked = co_await look(replica, line);
      if (!looked && looked.error().problem != &kDraining) {
        replica.lag_.store(-1, std::memory_order_relaxed);
        judge(replica, false,
              looked.error().problem == &kDeadlineExceeded ? std::string("it does not answer")
                                                           : reason_of(looked.error()),
              -1);
      }
    } catch (const std::bad_alloc&) { rest_of_memory(); }
    const Scope* scope = co_await this_scope();
    if (scope && scope->stopped() != Stop::none) co_return;
    if (replica.waiting_.load(std::memory_order_acquire) > 0 && replica.usable_.load(std::memory_order_relaxed)) {
      const bool rested = co_await pause(loop_, kSoon);
      if (!rested) co_return;
      continue;
    }
    auto woken = co_await replica.wanted_.wait(
        loop_, kLook, [&] { return replica.waiting_.load() > 0 && replica.usable_.load(std::memory_order_relaxed); });
    if (!woken) co_return;
  }
}

Task<Result<>> PostgresReplicas::look(Replica& replica, Line& line) {
  const auto epoch = replica.looked_.look([&] { return replica.epoch_; });
  bool fresh = false;
  auto at = co_await ask(loop_, line, replica.pool_, kReplicaAt, fresh);
  if (!at) co_return std::unexpected(std::move(at).error());
  if (at->empty()) co_return std::unexpected(postgres_unavailable("it does not say where it is"));
  const bool standby = number_at(at->front(), 0) != 0;
  const auto replayed = static_cast<Position>(number_at(at->front(), 1));
  if (fresh) {
    auto cluster = co_await ask(loop_, line, replica.pool_, kCluster, fresh);
    if (!cluster) co_return std::unexpected(std::move(cluster).error());
    if (cluster->empty() || text_at(cluster->front(), 0) != cluster_) {
      line.reset();  // asked anew with the next look
      judge(replica, false, "it belongs to another cluster than the primary", -1);
      co_return Result<>{};
    }
  }
  const auto lag = history_.lag(replayed, loop_.now());
  replica.lag_.store(lag, std::memory_order_relaxed);
  if (!standby)
    judge(replica, false, "it is not a standby", lag);
  else if (lag < 0)
    judge(replica, false, "how far it is behind is not known yet", lag);
  else if (lag > options_.replica_lag.nanoseconds)
    judge(replica, false, "it is further behind than `replica-lag`", lag);
  else
    judge(replica, true, {}, lag);
  replica.looked_.wake_all([&] {
    if (replica.epoch_ == epoch) replica.replayed_.store(replayed, std::memory_order_release);
  });
  co_return Result<>{};
}

void PostgresReplicas::judge(Replica& replica, bool usable, std::string reason, Nanoseconds lag) {
  const bool was = replica.usable_.exchange(usable, std::memory_order_acq_rel);
  bool told = was != usable;
  {
    const std::lock_guard lock(replica.mutex_);
    told |= !usable && replica.reason_ != reason;
    replica.reason_ = reason;
  }
  if (!told || !options_.log) return;
  options_.log->write(usable ? telemetry::Level::info : telemetry::Level::warning,
                      usable ? "replica-used" : "replica-not-used", [&](telemetry::Line& line) {
                        line.add("replica", replica.name_);
                        if (lag >= 0) line.add("lag_milliseconds", lag / kMillisecond);
                        if (!usable) line.add("reason", reason).add("effect", "the primary answers its reads");
                      });
}

}  // namespace plimsoll::database
