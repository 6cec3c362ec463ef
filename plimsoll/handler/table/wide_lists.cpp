#include "plimsoll/handler/table/wide_lists.hpp"

#include "plimsoll/telemetry/log.hpp"

namespace plimsoll::table {

WideLists::WideLists(const Services& services, std::string table)
    : table_(std::move(table)), log_(services.log), clock_(services.clock ? services.clock : &system_clock()) {}

void WideLists::add(std::string_view columns) noexcept {
  const auto count = log_ ? lines_.add(clock_->steady()) : 0;
  if (count == 0) return;
  try {
    log_->write(telemetry::Level::warning, "list-without-index", [&](telemetry::Line& line) {
      line.add("table", table_).add("columns", columns).add("lists", count);
      line.add("remedy",
               "name the columns in `indexes` of the table; a new table gets the index, and of one that exists the "
               "start prints the statement");
    });
  } catch (...) {  // no memory for the line
  }
}

}  // namespace plimsoll::table
