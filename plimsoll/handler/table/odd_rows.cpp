#include "plimsoll/handler/table/odd_rows.hpp"

#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::table {

OddRows::OddRows(const Services& services, std::string table)
    : table_(std::move(table)), log_(services.log), clock_(services.clock ? services.clock : &system_clock()) {
  if (!services.metrics) return;
  const telemetry::Label labels[] = {{"table", table_}};
  counter_ = &services.metrics->counter("plimsoll_table_odd_rows_total",
                                        "Rows shown with stored values that are not of their column's type.", labels);
}

void OddRows::add() noexcept {
  if (counter_) counter_->add();
  untold_.fetch_add(1, std::memory_order_relaxed);
  const auto now = clock_->steady();
  auto told = told_.load(std::memory_order_relaxed);
  if (!log_ || (told != 0 && now - told < kBetweenLines)) return;
  if (!told_.compare_exchange_strong(told, now, std::memory_order_relaxed)) return;  // another thread tells
  try {
    const auto count = untold_.exchange(0, std::memory_order_relaxed);
    log_->write(telemetry::Level::warning, "table-odd-rows", [&](telemetry::Line& line) {
      line.add("table", table_).add("rows", count);
      line.add("remedy", "correct the rows, or the schema; they are shown as they are stored");
    });
  } catch (...) {  // no memory for the line: the count is in the metric
  }
}

}  // namespace plimsoll::table
