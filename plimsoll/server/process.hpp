#pragma once

#include "plimsoll/async/blocking.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/database/slow_statements.hpp"
#include "plimsoll/server/health.hpp"
#include "plimsoll/server/instance.hpp"
#include "plimsoll/server/redirect.hpp"
#include "plimsoll/server/write_probe.hpp"
#include "plimsoll/store/store.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::server {

/// What lives as long as the process, whatever plan is in force: log, metrics, threads, engines, the handlers of the
/// program, and the state that plans share (docs/design/plans.md).
struct Process {
  Process(const Settings& settings, Handlers handlers, Runners runners, Problems problems);

  /// Log, metrics, threads and store, as the deployment says.
  void open(const Deployment& from);
  contract::Complaints open_database(const Deployment& from);
  /// Null where nobody is to be told of them.
  database::SlowStatements* slow_statements(const Deployment& from);
  /// What of the open database does not fit the options of its engine.
  contract::Complaints inspect_database(const Deployment& from);
  /// Brings the database to where its migrations lead. Instances that start at once apply each file once. `applied`
  /// receives a sentence for each.
  contract::Complaints migrate(const Deployment& from, std::vector<std::string>& applied);
  /// The first write, and the probe that repeats it.
  contract::Complaints probe_database();
  /// What a new plan has to offer to its parts: the engines and the state of the process, and nothing of another plan.
  Services services();
  void phase(std::string_view what, std::string_view detail = {}) const {
    if (told) told(what, detail);
  }

  const Settings settings;
  const Clock& clock;
  const Problems problems;  ///< of the program's own handlers
  const Handlers handlers;  ///< of the program
  const std::shared_ptr<Runners> runners;
  telemetry::Registry metrics;
  std::unique_ptr<telemetry::Log> log;
  std::unique_ptr<Threads> threads;
  std::shared_ptr<void> rests_on;  ///< what the database of a dry run is in
  std::unique_ptr<database::SlowStatements> slow;
  std::unique_ptr<database::Database> database;
  std::string database_file;  ///< that the database is in; empty: in none on this machine
  std::unique_ptr<store::Store> store;
  std::shared_ptr<Shared> state = std::make_shared<Shared>();
  std::unique_ptr<WriteProbe> probe;
  /// As the listeners were opened: a reload that leaves it out must not let one serve in clear.
  std::optional<RedirectToHttps> redirect;
  bool has_certificate = false;
  /// Has a site of the public listener redirect what comes in clear, where the deployment said so.
  void redirect_to_https(Site& site) const;
  bool retryable = false;  ///< the last error was the environment's
  Health health;
  std::function<void(std::string_view, std::string_view)> told;
  std::mutex mutex;  ///< of `breakable`
  database::Database* breakable = nullptr;
  std::vector<telemetry::Observation> observations;  // last: they read all of the above
};

}  // namespace plimsoll::server
