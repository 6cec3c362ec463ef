#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/wait_list.hpp"
#include "plimsoll/database/pool_ledger.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_connection.hpp"
#include "plimsoll/database/postgres_target.hpp"

#include <atomic>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace plimsoll::database {

/// The connections of a process to one PostgreSQL server, shared by all threads (PoolLedger decides).
///
/// A thread of its own, with a loop of its own, does all that is nobody's request: it opens connections, closes them,
/// looks whether the server is there again, and recovers connections whose user left in the middle. So no I/O loop
/// waits for a handshake, and a user that leaves waits for nothing.
class PostgresPool {
 public:
  PostgresPool(PostgresTarget target, const PostgresOptions& options, std::shared_ptr<net::Resolver> resolver);
  /// All leases have ended.
  ~PostgresPool();
  PostgresPool(const PostgresPool&) = delete;

  /// Opens the first connection, and starts the thread.
  Result<> start();
  /// Starts the thread, which opens them.
  void start_later();

  /// The use of one connection, attached to the user's loop; given back with it.
  class Lease {
   public:
    Lease() = default;
    Lease(PostgresPool& pool, PostgresConnection& connection, ReadClass order, std::uint64_t caller)
        : pool_(&pool), connection_(&connection), order_(order), caller_(caller) {}
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          connection_(other.connection_),
          order_(other.order_),
          caller_(other.caller_) {}
    Lease& operator=(Lease&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(connection_, other.connection_);
      std::swap(order_, other.order_);
      std::swap(caller_, other.caller_);
      return *this;
    }
    ~Lease() {
      if (pool_) pool_->give_back(*connection_, order_, caller_);
    }
    PostgresConnection& operator*() const { return *connection_; }
    PostgresConnection* operator->() const { return connection_; }

   private:
    PostgresPool* pool_ = nullptr;
    PostgresConnection* connection_ = nullptr;
    ReadClass order_ = ReadClass::key;
    std::uint64_t caller_ = 0;
  };

  /// Waits for a connection as long as `acquire` says. Errors: `database-busy`, `database-unavailable`, and that of a
  /// line that is told to stop.
  Task<Result<Lease>> acquire(Loop& loop, ReadClass order, std::uint64_t caller);
  /// A connection that is not of the pool, attached to no loop.
  Task<Result<std::unique_ptr<PostgresConnection>>> connect(Loop& loop);

  PoolState state() const noexcept;
  /// Asks the server to end all that is under way, but commits. Safe from any thread.
  void interrupt();
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  struct Waiter;
  struct Abandoned {
    PostgresConnection* connection;
    ReadClass order;
    std::uint64_t caller;
  };
  void give_back(PostgresConnection& connection, ReadClass order, std::uint64_t caller) noexcept;
  /// Under the lock: gives connections to those whose turn it is, or refuses them all.
  void serve();
  void note_sizes();
  void wake();
  void add(std::unique_ptr<PostgresConnection> connection);
  // On the thread of the pool.
  Task<> keep();
  Task<> open_one();
  Task<> recover(Abandoned abandoned);
  Task<> cancel(PostgresConnection::CancelKey key);
  void errand(Task<> work);
  Task<> run_errand(Task<> work, std::list<Scope>::iterator scope);

  /// What TLS of the target needs, read again when a file has changed; null where it wants none.
  Result<std::shared_ptr<net::TlsClient>> tls();

  const PostgresTarget target_;
  const PostgresOptions options_;
  const std::shared_ptr<net::Resolver> resolver_;
  mutable std::mutex mutex_;
  PoolLedger<PostgresConnection> ledger_;  ///< under the mutex, as the next seven
  std::vector<PostgresConnection*> closing_;
  std::vector<Abandoned> abandoned_;
  std::vector<PostgresConnection*> used_;
  std::vector<PostgresConnection::CancelKey> cancelled_;  ///< to be asked to end
  std::mutex tls_mutex_;                                  ///< of the next two
  std::shared_ptr<net::TlsClient> tls_;
  std::vector<std::filesystem::file_time_type> tls_files_;
  std::string cause_;  ///< why the server is down
  std::minstd_rand random_{std::random_device{}()};
  std::atomic<std::int64_t> in_use_{0}, idle_{0}, opening_{0}, waiting_{0};
  std::atomic<bool> down_{false};
  std::atomic<std::uint64_t> refused_{0};

  Loop loop_;
  WaitList wakes_;
  bool awake_ = false, ending_ = false;  ///< under the lock of `wakes_`
  std::list<Scope> errands_;
  Scope keeping_;
  std::thread thread_;
};

}  // namespace plimsoll::database
