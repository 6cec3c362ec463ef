#include "plimsoll/server/observe.hpp"

#include "plimsoll/database/database.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/process.hpp"

namespace plimsoll::server {

using telemetry::Kind;

std::vector<telemetry::Observation> observe(const Services& services) {
  auto& registry = *services.metrics;
  auto all = telemetry::observe_process(registry, PLIMSOLL_VERSION);
  if (const auto* log = services.log)
    all.push_back(registry.observe(Kind::counter, "plimsoll_log_lines_lost_total",
                                   "Log lines that were dropped because their reader is slow or they are too long.", {},
                                   [log] { return static_cast<double>(log->lost()); }));
  if (const auto* database = services.database) {
    const auto add = [&](Kind kind, std::string_view name, std::string_view help,
                         std::uint64_t database::Counts::* member, std::span<const telemetry::Label> labels = {}) {
      all.push_back(registry.observe(kind, name, help, labels,
                                     [database, member] { return static_cast<double>(database->counts().*member); }));
    };
    add(Kind::counter, "plimsoll_database_commits_total", "Commits of the database; several units may share one.",
        &database::Counts::commits);
    add(Kind::counter, "plimsoll_database_units_total", "Units of work that were written.", &database::Counts::units);
    constexpr std::string_view kReads = "plimsoll_database_reads_total";
    constexpr std::string_view kHelp =
        "Reads by where they ran: inline (on the I/O thread), moved (begun there, over budget, run again on a reader), "
        "queued (on a reader).";
    const telemetry::Label inlined[] = {{"path", "inline"}}, moved[] = {{"path", "moved"}},
                           queued[] = {{"path", "queued"}};
    add(Kind::counter, kReads, kHelp, &database::Counts::reads_inline, inlined);
    add(Kind::counter, kReads, kHelp, &database::Counts::reads_moved, moved);
    add(Kind::counter, kReads, kHelp, &database::Counts::reads_queued, queued);
  }
  return all;
}

}  // namespace plimsoll::server
