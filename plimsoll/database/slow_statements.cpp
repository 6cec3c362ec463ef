#include "plimsoll/database/slow_statements.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>

namespace plimsoll::database {
namespace {

/// The beginning of a text, in whole characters.
std::string beginning(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return std::string(text.substr(0, most)) + "…";
}

}  // namespace

std::string kinds_of(std::span<const Cell> parameters) {
  constexpr std::size_t kMost = 32;
  std::string made;
  for (const auto& cell : parameters.first(std::min(parameters.size(), kMost))) {
    if (!made.empty()) made += ", ";
    if (const auto* text = std::get_if<std::string>(&cell))
      made += "text(" + std::to_string(text->size()) + ")";
    else
      made += std::holds_alternative<std::int64_t>(cell) ? "integer"
              : std::holds_alternative<double>(cell)     ? "real"
                                                         : "null";
  }
  if (parameters.size() > kMost) made += ", and " + std::to_string(parameters.size() - kMost) + " more";
  return made;
}

SlowStatements::SlowStatements(Nanoseconds bound, telemetry::Log* log, telemetry::Registry* metrics, const Clock& clock)
    : bound_(bound > 0 ? bound : INT64_MAX), log_(log), clock_(clock) {
  if (metrics && bound > 0)
    counter_ = &metrics->counter("plimsoll_database_slow_statements_total",
                                 "Statements that took longer than `database: {slow}`.");
}

SlowStatements::~SlowStatements() { stop(); }

SlowStatements::Text& SlowStatements::text_of(std::string_view sql, Nanoseconds now) {
  const auto hash = hash64(sql);
  if (texts_.size() >= kTexts && !texts_.contains(hash))
    texts_.erase(std::ranges::min_element(texts_, {}, [](const auto& each) { return each.second.seen; }));
  auto& text = texts_[hash];
  text.seen = now;
  return text;
}

void SlowStatements::add(const EndedStatement& statement) noexcept {
  if (counter_) counter_->add();
  if (!log_ || !log_->enabled(telemetry::Level::warning)) return;
  try {
    const auto now = clock_.steady();
    Entry entry;
    bool explains = false;
    {
      const std::scoped_lock lock(mutex_);
      auto& text = text_of(statement.sql, now);
      const auto count = text.lines.add(now);
      if (count == 0) return;
      entry.left_out = count - 1;
      explains = explains_ && waiting_.size() < kMostWaiting && text.plans.add(now) > 0;
    }
    // Whole, so that its plan can be asked for; of one that is very long nobody reads the plan.
    explains = explains && statement.sql.size() <= kLongestText;
    entry.sql = beginning(statement.sql, kLongestText);
    entry.operation = statement.operation;
    entry.parameters = kinds_of(statement.parameters);
    entry.count = statement.parameters.size();
    entry.took = statement.took;
    entry.wall = clock_.wall();
    entry.rows = statement.rows;
    if (statement.error) entry.problem = statement.error->problem->code;
    if (!explains) return write(entry, {});
    {
      const std::scoped_lock lock(mutex_);
      if (explains_) {
        waiting_.push_back(std::move(entry));
        explains = false;
      }
    }
    if (explains) return write(entry, {});
    ready_.notify_one();
  } catch (...) {  // no memory for the line: the count is in the metric
  }
}

void SlowStatements::write(const Entry& entry, std::string_view plan) const {
  log_->write_at(entry.wall, telemetry::Level::warning, "slow-statement", [&](telemetry::Line& line) {
    if (!entry.operation.empty()) line.add("operation", entry.operation);
    line.add("duration_ms", entry.took / kMillisecond).add("rows", entry.rows);
    if (!entry.problem.empty()) line.add("problem", entry.problem);
    line.add("statement", entry.sql);
    if (entry.count > 0) line.add("parameters", entry.parameters);
    if (entry.left_out > 0) line.add("left_out", entry.left_out);
    if (!plan.empty()) line.add("plan", beginning(plan, kLongestText));
  });
}

std::string SlowStatements::plan_of(Database& database, const Entry& entry) const {
  try {
    auto asked = wait_for([&](Loop& loop) -> Task<Result<std::string>> {
      auto plan = co_await within(loop, kPlanLimit, database.plan_of(loop, entry.sql, entry.count));
      co_return plan;
    });
    return asked ? std::move(*asked) : "not to be had: " + reason_of(asked.error());
  } catch (...) { return {}; }
}

void SlowStatements::start(Database& database) {
  if (bound_ == INT64_MAX || !log_) return;
  {
    const std::scoped_lock lock(mutex_);
    explains_ = true;
  }
  thread_ = std::thread([this, &database] { serve(database); });
}

void SlowStatements::serve(Database& database) {
  for (std::unique_lock lock(mutex_);;) {
    ready_.wait(lock, [&] { return !explains_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto entry = std::move(waiting_.front());
    waiting_.pop_front();
    const bool explains = explains_;
    lock.unlock();
    try {
      write(entry, explains ? plan_of(database, entry) : std::string{});
    } catch (const std::bad_alloc&) {  // no memory for its line: it is counted all the same
    }
    lock.lock();
  }
}

void SlowStatements::stop() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    explains_ = false;
  }
  ready_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace plimsoll::database
