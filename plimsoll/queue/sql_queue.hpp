#pragma once

#include "plimsoll/queue/queue.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>

namespace plimsoll::queue {

/// What is kept of a queue and for how long.
struct Retention {
  Nanoseconds completed = 7 * 86'400 * kSecond;  ///< and cancelled
  Nanoseconds dead = 30 * 86'400 * kSecond;
};

/// The queue as two tables beside the user's own, so that a job commits with the rows that asked for it. Decisions are
/// Standing's; the statements here fetch it, let it decide, and store it, all in one transaction.
class SqlQueue final : public Queue {
 public:
  SqlQueue(database::Database& database, const Clock& clock, std::vector<Kind> kinds, Retention retention = {});

  /// Makes the tables where they are missing.
  Task<Result<>> prepare(Loop&);
  /// Who is to be woken by `notify`; empty: nobody. Called from any thread.
  void on_notify(std::function<void()> wake);
  std::span<const Kind> kinds() const { return kinds_; }

  Task<Result<std::string>> enqueue(database::Session&, const Job&) override;
  void notify() noexcept override;
  const Kind* kind(std::string_view name) const noexcept override;
  Task<Result<std::optional<Record>>> find(Loop&, std::string_view id) override;
  Task<Result<std::optional<Output>>> result(Loop&, std::string_view id) override;
  Task<Result<std::vector<Record>>> list(Loop&, const Filter&) override;
  Task<Result<std::vector<Backlog>>> backlog(Loop&) override;
  Task<Result<bool>> cancel(Loop&, std::string_view id) override;
  Task<Result<bool>> requeue(Loop&, std::string_view id) override;
  Task<Result<std::vector<Record>>> claim(Loop&, std::string_view queue, int limit) override;
  Task<Result<std::vector<std::string>>> renew(Loop&, std::span<const Claim>) override;
  Task<Result<>> complete(database::Session&, const Claim&, const Output&) override;
  Task<Result<>> fail(Loop&, const Claim&, const Failure&) override;
  Task<Result<>> release(Loop&, const Claim&) override;
  Task<Result<>> progress(Loop&, const Claim&, int percent) override;
  Task<Result<int>> expire(Loop& loop, std::vector<std::string>* dead) override;
  Task<Result<int>> prune(Loop&) override;

 private:
  const RetryRule& rule(std::string_view kind) const noexcept;
  Task<Result<std::optional<Record>>> load(database::Session&, std::string_view id);
  Task<Result<>> store(database::Session&, const Record&);
  /// Loads, lets `move` decide, stores what it changed. False when it changed nothing.
  template <class F>
  Task<Result<bool>> change(Loop&, std::string_view id, F move);

  database::Database& database_;
  const Clock& clock_;
  const std::vector<Kind> kinds_;
  const Retention retention_;
  const std::string due_;  ///< the statement that finds jobs to claim
  std::mutex mutex_;
  std::function<void()> wake_;
};

}  // namespace plimsoll::queue
