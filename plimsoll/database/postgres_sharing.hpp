#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/database/postgres_connection.hpp"
#include "plimsoll/database/postgres_pool.hpp"

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace plimsoll::database {

/// Reads by a unique key of one loop that go over one connection of a pool, one behind the other, without waiting for
/// each other's answers: the first brings the connection, those that come while it is used join, and it goes back to
/// the pool with the last. One of them at a time waits at the socket and hands each its rows.
///
/// Whoever is told to stop leaves at once, its answer is dropped, and nothing is cancelled: the others wait for theirs.
/// Used by its loop's own thread.
class PostgresSharing {
 public:
  using Statement = PostgresConnection::Statement;
  using Prepared = PostgresConnection::Prepared;
  explicit PostgresSharing(Loop& loop);
  ~PostgresSharing();
  PostgresSharing(const PostgresSharing&) = delete;

  struct Outcome {
    Result<> done{};
    bool lost = false;  ///< with its connection
  };
  /// Whether a read can join one that is under way. Null: not.
  Prepared can_join(const PostgresPool& pool, const Statement& statement);
  /// Whether a connection can be brought: nobody shares one now.
  bool is_free() const noexcept { return !lease_; }
  /// Brings a connection on which the statement `can_pipe`; the read follows by `join`.
  void begin(const PostgresPool& pool, PostgresPool::Lease lease);
  /// `statement` outlives the wait.
  Task<Outcome> join(const Statement& statement, Prepared prepared);

 private:
  struct Reader;
  struct Stay;
  void hand_out(const PostgresProtocol::Event& event, Reader* me);
  void lose(Error why, Reader* me);
  Reader*& reader(std::size_t i) noexcept { return readers_[(front_ + i) % kMost]; }
  void leave(Reader& me);
  /// Somebody else waits at the socket from now on; without anybody the connection goes back.
  void hand_over();

  static constexpr std::size_t kMost = 16;  ///< under way at the same time
  static constexpr Nanoseconds kLongestUse =
      100 * kMillisecond;  ///< then nobody joins, so that it comes back to the pool

  Loop& loop_;
  const PostgresPool* pool_ = nullptr;
  std::optional<PostgresPool::Lease> lease_;
  Nanoseconds until_ = 0;
  bool closed_ = false;  ///< nobody joins any more
  /// In the order of their answers, from `front_` on; null: has left.
  std::array<Reader*, kMost> readers_{};
  std::size_t front_ = 0, count_ = 0;
  PostgresConnection::Unit dropped_;
  std::vector<std::string> stale_;  ///< statements whose plan no longer fits
  struct Sends;
  std::unique_ptr<Sends> sends_;
};

}  // namespace plimsoll::database
