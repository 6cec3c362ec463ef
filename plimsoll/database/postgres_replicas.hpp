#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/wait_list.hpp"
#include "plimsoll/database/lag_history.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_pool.hpp"
#include "plimsoll/database/postgres_target.hpp"
#include "plimsoll/database/written_positions.hpp"

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace plimsoll::database {

/// Standby servers that answer reads beside the primary (docs/design/replicas.md).
///
/// A thread of its own looks at the primary and at each replica, on a connection to each that belongs to nobody else: a
/// replica is used while it is a standby of the same cluster and has all that the primary had no longer ago than
/// `replica-lag`. How far it has replayed is known by its last look; a read that must show more makes it look again and
/// again, for a short time.
class PostgresReplicas {
 public:
  /// One server. Its members are those of the thread that looks, but for what reads ask.
  class Replica {
   public:
    Replica(PostgresTarget target, const PostgresOptions& options, std::shared_ptr<net::Resolver> resolver);
    PostgresPool& pool() noexcept { return pool_; }
    /// Whether a read that must show this may be answered now.
    bool shows(Position needs) const noexcept {
      return usable_.load(std::memory_order_acquire) && replayed_.load(std::memory_order_acquire) >= needs;
    }
    std::atomic<std::uint64_t> reads{0};

   private:
    friend class PostgresReplicas;
    /// A connection was opened, perhaps to another server than before, of which nothing is known yet.
    void opened();

    const std::string name_;
    std::atomic<bool> usable_{false};
    std::atomic<Position> replayed_{0};
    std::atomic<Nanoseconds> lag_{-1};
    std::atomic<int> waiting_{0};
    WaitList looked_;          ///< those who wait for a look; its lock is that of `epoch_`
    std::uint64_t epoch_ = 0;  ///< how many connections were opened
    WaitList wanted_;          ///< the thread that looks, while nobody waits
    mutable std::mutex mutex_;
    std::string reason_;  ///< under the mutex
    PostgresPool pool_;   // last: it calls `opened` on a thread of its own
  };

  PostgresReplicas(PostgresPool& primary, std::vector<PostgresTarget> targets, const PostgresOptions& options,
                   const std::shared_ptr<net::Resolver>& resolver);
  /// All reads have ended.
  ~PostgresReplicas();
  PostgresReplicas(const PostgresReplicas&) = delete;

  /// Looks at the primary for the first time, and starts the thread. Replicas that cannot be reached are not waited
  /// for.
  Result<> start();

  /// Whether it is known of every commit where it is.
  bool all_placed() const noexcept { return unplaced_.load(std::memory_order_acquire) == 0; }
  /// One that shows what the read needs; null: none does now. Takes turns.
  Replica* ready(Position needs) noexcept;
  /// The same, once one has replayed it: waits a short time where one nearly has.
  Task<Replica*> wait_for(Loop& loop, Position needs);

  /// Where the primary was at the last look, or behind a commit that was told here.
  Position known() const noexcept { return known_.load(std::memory_order_acquire); }
  /// A commit for this caller, and where the log was behind it. 0: it is not known, and no replica answers anything
  /// until the primary has been looked at again.
  void committed(std::uint64_t caller, Position at) noexcept;
  const WrittenPositions& written() const noexcept { return written_; }

  const std::string& cluster() const noexcept { return cluster_; }
  std::vector<ReplicaState> states() const;

  static constexpr Nanoseconds kWait = 20 * kMillisecond;  ///< for a replica to replay what a read needs

 private:
  using Line = std::unique_ptr<PostgresConnection>;
  Task<> watch_primary();
  Task<> watch(Replica& replica);
  /// Asks on a connection of the thread's own, which is opened where there is none.
  Task<Result<Rows>> ask(Loop& loop, Line& line, PostgresPool& of, std::string_view sql, bool& fresh);
  Task<Result<>> look(Replica& replica, Line& line);
  /// What every replica that is used has replayed; 0 where none is.
  Position replayed_by_all() const noexcept;
  void judge(Replica& replica, bool usable, std::string reason, Nanoseconds lag);

  const PostgresOptions options_;
  PostgresPool& primary_;
  std::list<Replica> replicas_;
  std::atomic<std::size_t> turn_{0};
  std::atomic<Position> known_{0};
  std::atomic<std::uint64_t> unplaced_{0};  ///< commits of which it is not known where they are
  WrittenPositions written_;
  std::string cluster_;
  LagHistory history_;  ///< of the thread that looks, as the next

  Loop loop_;
  std::list<Scope> watching_;
  std::thread thread_;
};

}  // namespace plimsoll::database
