#pragma once

#include "plimsoll/client/retry_budget.hpp"

#include <mutex>
#include <utility>

namespace plimsoll::client {

/// The retries of one service, whoever calls it. Any thread.
class SharedBudget {
 public:
  /// A call begins. The options of the plan that calls hold until another one does: one that is only tried, and never
  /// in force, changes nothing.
  void arrive(const RetryBudgetOptions& options, Nanoseconds now) {
    const std::scoped_lock lock(mutex_);
    options_ = options;
    set_ = true;
    budget_.arrive(options_, now);
  }
  std::optional<RetryBudget::Ticket> take(Nanoseconds now) {
    const std::scoped_lock lock(mutex_);
    return budget_.take(options_, now);
  }
  void end(RetryBudget::Ticket ticket) {
    const std::scoped_lock lock(mutex_);
    budget_.end(ticket);
  }
  /// Somebody retries, and so counts the calls.
  bool in_force() {
    const std::scoped_lock lock(mutex_);
    return set_;
  }

 private:
  std::mutex mutex_;
  RetryBudgetOptions options_;
  RetryBudget budget_;
  bool set_ = false;
};

/// What was taken of a budget, until its end.
class BudgetTicket {
 public:
  BudgetTicket() = default;
  BudgetTicket(SharedBudget& budget, RetryBudget::Ticket ticket) : budget_(&budget), ticket_(ticket) {}
  BudgetTicket(const BudgetTicket&) = delete;
  BudgetTicket& operator=(BudgetTicket&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(ticket_, other.ticket_);
    return *this;
  }
  ~BudgetTicket() { end(); }
  void end() noexcept {
    if (auto* budget = std::exchange(budget_, nullptr)) budget->end(ticket_);
  }

 private:
  SharedBudget* budget_ = nullptr;
  RetryBudget::Ticket ticket_ = 0;
};

}  // namespace plimsoll::client
