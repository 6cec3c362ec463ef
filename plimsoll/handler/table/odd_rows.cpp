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
  const auto count = log_ ? lines_.add(clock_->steady()) : 0;
  if (count == 0) return;
  try {
    log_->write(telemetry::Level::warning, "table-odd-rows", [&](telemetry::Line& line) {
      line.add("table", table_).add("rows", count);
      line.add("remedy", "correct the rows, or the schema; they are shown as they are stored");
    });
  } catch (...) {  // no memory for the line: the count is in the metric
  }
}

}  // namespace plimsoll::table
