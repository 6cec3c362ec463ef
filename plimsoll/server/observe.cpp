#include "plimsoll/server/observe.hpp"

#include "plimsoll/database/database.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/handler/table/access_plan.hpp"
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
    const auto load = [&](std::string_view kind, std::string_view state, std::int64_t database::Load::* member) {
      const telemetry::Label labels[] = {{"kind", kind}, {"state", state}};
      all.push_back(registry.observe(Kind::gauge, "plimsoll_database_operations",
                                     "Reads of reader threads and writes, by whether they wait for a thread or run.",
                                     labels,
                                     [database, member] { return static_cast<double>(database->load().*member); }));
    };
    load("read", "waiting", &database::Load::reads_waiting);
    load("read", "running", &database::Load::reads_running);
    load("write", "waiting", &database::Load::writes_waiting);
    load("write", "running", &database::Load::writes_running);
    if (database->pool_state().most > 0) {
      const auto connections = [&](std::string_view state, std::int64_t database::PoolState::* member) {
        const telemetry::Label labels[] = {{"state", state}};
        all.push_back(registry.observe(
            Kind::gauge, "plimsoll_database_connections", "Connections of the pool, by what they do.", labels,
            [database, member] { return static_cast<double>(database->pool_state().*member); }));
      };
      connections("in-use", &database::PoolState::in_use);
      connections("idle", &database::PoolState::idle);
      connections("opening", &database::PoolState::opening);
      all.push_back(registry.observe(Kind::gauge, "plimsoll_database_pool_waiting",
                                     "Requests that wait for a connection of the pool.", {},
                                     [database] { return static_cast<double>(database->pool_state().waiting); }));
      all.push_back(registry.observe(Kind::gauge, "plimsoll_database_up",
                                     "1 while the database server can be reached, as far as is known.", {},
                                     [database] { return database->pool_state().down ? 0.0 : 1.0; }));
    }
    for (const auto& replica : database->replicas()) {
      const auto now = [database, name = replica.name] {
        for (auto& each : database->replicas())
          if (each.name == name) return each;
        return database::ReplicaState{};
      };
      const telemetry::Label labels[] = {{"replica", replica.name}};
      all.push_back(registry.observe(Kind::gauge, "plimsoll_database_replica_used",
                                     "1 while a replica is near enough to the primary to answer reads.", labels,
                                     [now] { return now().usable ? 1.0 : 0.0; }));
      all.push_back(registry.observe(Kind::gauge, "plimsoll_database_replica_lag_seconds",
                                     "How long ago a replica had all that the primary has; -1: not known.", labels,
                                     [now] {
                                       const auto lag = now().lag;
                                       return lag < 0 ? -1.0 : static_cast<double>(lag) / static_cast<double>(kSecond);
                                     }));
      all.push_back(registry.observe(Kind::counter, "plimsoll_database_replica_reads_total",
                                     "Reads that were given to a replica.", labels,
                                     [now] { return static_cast<double>(now().reads); }));
    }
    if (database->has_replicas()) {
      const auto returned = [&](std::string_view why, std::uint64_t database::Counts::* member) {
        const telemetry::Label labels[] = {{"why", why}};
        all.push_back(registry.observe(
            Kind::counter, "plimsoll_database_replica_reads_by_primary_total",
            "Reads that a replica could have answered and the primary has: none showed yet what the caller has written "
            "or was in use (behind), or one failed (failed).",
            labels, [database, member] { return static_cast<double>(database->counts().*member); }));
      };
      returned("behind", &database::Counts::reads_ahead);
      returned("failed", &database::Counts::reads_returned);
    }
    all.push_back(registry.observe(Kind::gauge, "plimsoll_database_log_bytes",
                                   "Size of the write-ahead log of the database.", {},
                                   [database] { return static_cast<double>(database->log_state().bytes); }));
    all.push_back(registry.observe(
        Kind::counter, "plimsoll_database_log_held_total",
        "How often readers, of this process or another, kept the write-ahead log from being written back.", {},
        [database] { return static_cast<double>(database->log_state().held); }));
    const auto add = [&](Kind kind, std::string_view name, std::string_view help,
                         std::uint64_t database::Counts::* member, std::span<const telemetry::Label> labels = {}) {
      all.push_back(registry.observe(kind, name, help, labels,
                                     [database, member] { return static_cast<double>(database->counts().*member); }));
    };
    add(Kind::counter, "plimsoll_database_commits_total", "Commits of the database; several units may share one.",
        &database::Counts::commits);
    add(Kind::counter, "plimsoll_database_units_total", "Units of work that were written.", &database::Counts::units);
    add(Kind::counter, "plimsoll_database_outcomes_unknown_total",
        "Writes whose commit had not ended in their time, or gave no answer: they were answered `outcome-unknown`.",
        &database::Counts::outcomes_unknown);
    constexpr std::string_view kReads = "plimsoll_database_reads_total";
    constexpr std::string_view kHelp =
        "Reads by where they ran: inline (on the I/O thread), moved (begun there, over budget or not in memory, run "
        "again on a reader), "
        "queued (on a reader).";
    const telemetry::Label inlined[] = {{"path", "inline"}}, moved[] = {{"path", "moved"}},
                           queued[] = {{"path", "queued"}};
    add(Kind::counter, kReads, kHelp, &database::Counts::reads_inline, inlined);
    add(Kind::counter, kReads, kHelp, &database::Counts::reads_moved, moved);
    add(Kind::counter, kReads, kHelp, &database::Counts::reads_queued, queued);
    if (!database->dialect().has_statistics())
      for (std::size_t way = 0; way < table::kAccessWays; ++way) {
        const telemetry::Label labels[] = {{"way", table::kAccessWords[way]}};
        all.push_back(registry.observe(Kind::counter, "plimsoll_list_plans_total",
                                       "Pages of lists for which a way to their rows was chosen, by that way.", labels,
                                       [way] { return static_cast<double>(table::access_counts()[way]); }));
      }
  }
  return all;
}

}  // namespace plimsoll::server
