#include "plimsoll/server/process.hpp"

#include "plimsoll/async/patience.hpp"
#include "plimsoll/client/faults.hpp"
#include "plimsoll/database/engine.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/deployment.hpp"
#include "plimsoll/server/injected_database.hpp"
#include "plimsoll/server/site.hpp"
#include "plimsoll/store/memory.hpp"

#include <unistd.h>
#include <filesystem>

namespace plimsoll::server {

Process::Process(const Settings& said, Handlers own_handlers, Runners own_runners, Problems own_problems)
    : settings(said),
      clock(said.clock ? *said.clock : system_clock()),
      problems(std::move(own_problems)),
      handlers(std::move(own_handlers)),
      runners(std::make_shared<Runners>(std::move(own_runners))) {}

void Process::open(const Deployment& from) {
  constexpr unsigned kBlockingThreads = 4;
  const bool text = from.telemetry.format == LogFormat::text ||
                    (from.telemetry.format == LogFormat::automatic && ::isatty(settings.log_descriptor));
  const auto level = settings.quiet ? telemetry::Level::off : from.telemetry.log;
  log = std::make_unique<telemetry::Log>(settings.log_descriptor, level,
                                         text ? telemetry::Log::Format::text : telemetry::Log::Format::json, clock);
  threads = std::make_unique<Threads>(kBlockingThreads);
  store = std::make_unique<store::Memory>(store::MemoryOptions{}, clock);
  if (settings.allow_faults) {
    state->of<client::Faults>()->allow(clock, &metrics, log.get());
    log->write(telemetry::Level::warning, "faults-allowed", [](telemetry::Line& line) {
      line.add("message", "`plimsoll faults` can make the dependencies of this server fail");
    });
  }
  redirect = from.redirect;
  has_certificate = from.tls.has_certificate();
}

void Process::redirect_to_https(Site& site) const {
  if (redirect) site.redirect_to_https(redirect->port, has_certificate);
}

Services Process::services() {
  Services made{.database = database.get(), .store = store.get(), .threads = threads.get()};
  made.metrics = &metrics;
  made.log = log.get();
  made.clock = &clock;
  made.development = settings.development;
  made.mock = settings.mock_all;
  made.trial = settings.dry_run;
  made.shared = state;
  made.runners = runners;
  return made;
}

database::SlowStatements* Process::slow_statements(const Deployment& from) {
  if (settings.dry_run || from.database.slow.nanoseconds == 0) return nullptr;
  slow = std::make_unique<database::SlowStatements>(from.database.slow.nanoseconds, log.get(), &metrics, clock);
  return slow.get();
}

contract::Complaints Process::open_database(const Deployment& from) {
  const auto place = from.database.place_for(settings.contract);
  const auto* engine = database::engine_of(place.url);
  const auto shown = database::shown(place.url);
  phase("opening the database", shown);
  database::Opening opening{
      .purpose = settings.dry_run ? database::Opening::Purpose::trial : database::Opening::Purpose::requests,
      .repeated = false,
      .log = settings.quiet ? nullptr : log.get(),
      .slow = slow_statements(from),
      .metrics = &metrics};
  const auto open = [&] {
    auto made = engine->open(place, opening);
    opening.repeated = true;
    return made;
  };
  auto* patience = Patience::current();
  auto opened = patience ? patience->retry(open) : open();
  if (!opened) {
    retryable = opened.error().retryable;
    const auto* url = from.root ? from.root->at("database", "url") : nullptr;
    return {{.code = "database",
             .file = from.file.empty() ? settings.contract : from.file,
             .at = url ? url->position() : json::Position{},
             .what = "the database " + shown + " cannot be opened: " + database::reason_of(opened.error()),
             .remedy = database::remedy_of(opened.error())}};
  }
  rests_on = std::move(opened->rests_on);
  database = std::move(opened->database);
  if (auto& faults = *state->of<client::Faults>(); faults.allowed())
    database = with_faults(std::move(database), faults);
  database_file = std::move(opened->file);
  const std::scoped_lock lock(mutex);
  breakable = database.get();
  return {};
}

contract::Complaints Process::probe_database() {
  phase("writing to the database");
  probe = std::make_unique<WriteProbe>(*database, log.get(), clock, database_file);
  if (auto first = probe->first(); !first)
    return {
        {.code = database::is_refused_statement(first.error()) ? "database" : std::string(first.error().problem->code),
         .what = "the database takes no writes: " + database::reason_of(first.error()),
         .remedy = database::remedy_of(first.error())}};
  return {};
}

contract::Complaints Process::inspect_database(const Deployment& from) {
  const auto place = from.database.place_for(settings.contract);
  const auto* engine = database::engine_of(place.url);
  if (!engine->inspect) return {};
  auto sound = engine->inspect(*database, place);
  if (sound) return {};
  retryable = sound.error().retryable;
  return {{.code = "database",
           .file = from.file,
           .what = database::reason_of(sound.error()),
           .remedy = database::remedy_of(sound.error())}};
}

contract::Complaints Process::migrate(const Deployment& from, std::vector<std::string>& applied) {
  namespace fs = std::filesystem;
  auto folder = from.database.migrations;
  std::error_code unknown;
  if (!folder.empty() && !fs::exists(folder, unknown) && !unknown)
    return {
        {.code = "migration",
         .file = from.file,
         .at = from.root->at("database", "migrations")->position(),
         .what = "there is no folder " + folder,
         .remedy = "Correct `migrations`, or remove it: `migrations` beside the contract is used where it exists."}};
  if (folder.empty()) {
    folder = (fs::path(settings.contract).parent_path() / "migrations").string();
    for (const auto& further : settings.versions) {
      const auto other = fs::path(further).parent_path() / "migrations";
      std::error_code ignored;
      if (!fs::is_directory(other, ignored) || fs::equivalent(other, folder, ignored)) continue;
      if (fs::is_directory(folder, ignored))
        return {{.code = "migration",
                 .file = further,
                 .what = "there are migrations beside two contracts, in " + folder + " and in " + other.string() +
                         ", and all contracts share one database",
                 .remedy = "Keep one folder, and name it with `database: {migrations: FOLDER}`."}};
      folder = other.string();
    }
  }
  const auto refused = [&](const Error& error) -> contract::Complaints {
    retryable = error.retryable;
    const std::string own(database::own_remedy_of(error));
    if (error.problem != &database::kMigration)
      return {{.code = error.problem == &kInternal ? "database" : std::string(error.problem->code),
               .file = folder,
               .what = "the migrations cannot be applied: " + database::reason_of(error),
               .remedy = database::remedy_of(error)}};
    return {{.code = "migration",
             .file = folder,
             .what = database::reason_of(error),
             .remedy = own.empty() ? "Correct the migrations; `plimsoll migrate status` lists those that are applied."
                                   : own}};
  };
  auto files = database::read_migrations(folder);
  if (!files) return refused(files.error());
  if (files->empty()) return {};
  phase("applying migrations");
  const auto begins = [&](std::string_view name) {
    phase("applying a migration", name);
    log->write(telemetry::Level::info, "migration", [&](telemetry::Line& line) { line.add("name", name); });
  };
  auto done = database::apply_migrations(*database, *files, clock.wall(), begins);
  if (!done) return refused(done.error());
  const std::string says = settings.dry_run ? "would apply migration " : "applied migration ";
  for (const auto& name : *done) applied.push_back(says + name);
  return {};
}

}  // namespace plimsoll::server
