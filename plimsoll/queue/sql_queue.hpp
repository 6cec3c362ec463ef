#pragma once

#include "plimsoll/queue/queue.hpp"

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace plimsoll::queue {

/// What is kept of a queue and for how long.
struct Retention {
  Nanoseconds completed = 7 * 86'400 * kSecond;  ///< and cancelled
  Nanoseconds dead = 30 * 86'400 * kSecond;
};

/// Where a claim begins to look, and a look for leases that have run out, or for jobs that are due. Jobs that have
/// ended leave entries in the indexes, which PostgreSQL can remove only when no older transaction is open: beside one
/// that was forgotten, a claim that looked at all of them would cost more with each job. So it looks from where the
/// last one has ended, less a margin for what commits late or by another clock, and at everything every ten seconds.
struct ClaimHorizon {
  static constexpr Nanoseconds kMargin = kSecond / 2, kWidest = 3600 * kSecond;
  static constexpr Nanoseconds kWhole = 10 * kSecond;  ///< between two looks at everything
  static constexpr int kPriorities = 9;

  /// Whether a look at this time is one at everything.
  bool is_whole(Nanoseconds wall, Nanoseconds steady) const noexcept {
    return looked_at == 0 || wall < looked_at || steady - whole_at >= kWhole;
  }
  /// Where the look at the jobs of a priority that are due begins.
  Nanoseconds due_from(int priority, bool whole) const noexcept { return whole ? 0 : due.at(priority - 1); }
  /// Where the look at leases begins that were written since the last one.
  Nanoseconds lease_from(Nanoseconds shortest) const noexcept { return looked_at + shortest - margin; }
  /// Where the look for leases that have run out begins: those before had run out at the last one already.
  Nanoseconds expired_from(bool whole) const noexcept { return whole ? 0 : looked_at - margin; }
  /// A look has found jobs of a priority that are due from `first` to `last`; `all`: there are no more.
  void found(int priority, Nanoseconds first, Nanoseconds last, bool all, Nanoseconds wall) noexcept;
  /// A look has ended.
  void looked(bool whole, Nanoseconds wall, Nanoseconds steady) noexcept;

  Nanoseconds looked_at = 0;  ///< wall time of the last look
  Nanoseconds whole_at = 0;   ///< steady time of the last look at everything
  Nanoseconds margin = kMargin;
  std::array<Nanoseconds, kPriorities> due{};
  std::vector<std::string> running;  ///< ids

 private:
  bool late_ = false;  ///< this look has found what the last one would have passed over
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
  Task<Result<Nanoseconds>> until_due(Loop&, std::string_view queue) override;
  Task<Result<std::vector<Record>>> claim(Loop&, std::string_view queue, int limit) override;
  Task<Result<std::vector<std::string>>> renew(Loop&, std::span<const Claim>) override;
  Task<Result<>> complete(database::Session&, const Claim&, const Output&) override;
  Task<Result<>> fail(Loop&, const Claim&, const Failure&) override;
  Task<Result<>> release(Loop&, const Claim&) override;
  Task<Result<>> progress(Loop&, const Claim&, int percent) override;
  Task<Result<int>> expire(Loop& loop, std::vector<std::string>* dead) override;
  Task<Result<int>> correct_times(Loop&) override;
  Task<Result<int>> prune(Loop&) override;

 private:
  const RetryRule& rule(std::string_view kind) const noexcept;
  Task<Result<std::optional<Record>>> load(database::Session&, std::string_view id);
  Task<Result<>> store(database::Session&, const Record&);
  /// The ids of the jobs of a queue that run, on whichever instance.
  Task<Result<std::vector<std::string>>> running(database::Session&, const std::string& queue,
                                                 const ClaimHorizon& horizon, bool whole);
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
  std::map<std::string, ClaimHorizon, std::less<>> horizons_;  ///< of claims, by queue
  std::map<std::string, ClaimHorizon, std::less<>> looks_;     ///< of `until_due`, by queue
  ClaimHorizon expired_;                                       ///< of `expire`
};

}  // namespace plimsoll::queue
