#include "plimsoll/server/process.hpp"

#include "plimsoll/async/patience.hpp"
#include "plimsoll/client/faults.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_policies.hpp"
#include "plimsoll/database/postgres_target.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/sqlite_files.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/deployment.hpp"
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
  made.shared = state;
  made.runners = runners;
  return made;
}

database::SlowStatements* Process::slow_statements(const Deployment& from) {
  if (settings.dry_run || from.database.slow.nanoseconds == 0) return nullptr;
  slow = std::make_unique<database::SlowStatements>(from.database.slow.nanoseconds, log.get(), &metrics, clock);
  return slow.get();
}

contract::Complaints Process::open_postgres(const Deployment& from) {
  auto options = from.database.postgres;
  const auto shown = database::without_password(options.url);
  options.log = log.get();
  options.trial = settings.dry_run;
  options.slow = slow_statements(from);
  options.acquired =
      &metrics.histogram("plimsoll_database_acquire_seconds", "How long requests waited for a connection of the pool.");
  phase("connecting to the database", shown);
  const auto open = [&] { return database::open_postgres(options); };
  auto* patience = Patience::current();
  auto opened = patience ? patience->retry(open) : open();
  if (!opened) {
    retryable = opened.error().retryable;
    return {{.code = "database",
             .file = from.file,
             .what = "the database " + shown + " cannot be used: " + database::reason_of(opened.error()),
             .remedy = database::remedy_of(opened.error())}};
  }
  database = std::move(*opened);
  const std::scoped_lock lock(mutex);
  breakable = database.get();
  return {};
}

contract::Complaints Process::open_database(const Deployment& from) {
  if (database::is_postgres_url(from.database.url)) return open_postgres(from);
  namespace fs = std::filesystem;
  auto options = from.database.sqlite;
  options.path = from.database.url.empty() ? fs::path(settings.contract).stem().string() + ".db"
                                           : from.database.url.substr(std::string_view("sqlite:").size());
  options.log = log.get();
  options.slow = slow_statements(from);
  phase("opening the database", options.path);
  const auto at =
      from.root && from.root->at("database", "url") ? from.root->at("database", "url")->position() : json::Position{};
  std::error_code unknown;
  if (const auto folder = fs::path(options.path).parent_path();
      settings.dry_run && !folder.empty() && !fs::exists(folder, unknown) && !unknown)
    return {{.code = "database",
             .file = from.file.empty() ? settings.contract : from.file,
             .at = at,
             .what = "the database " + options.path + " cannot be opened: there is no folder " + folder.string(),
             .remedy = "Make the folder, or name another file with `database: {url: 'sqlite:PATH'}`."}};
  if (!settings.quiet)
    if (const auto left = database::inspect_wal(options.path); left && (left->kept || left->dropped))
      log->write(left->dropped ? telemetry::Level::warning : telemetry::Level::info, "database-recovered",
                 [&](telemetry::Line& line) {
                   line.add("log_frames_applied", left->kept).add("log_frames_dropped", left->dropped);
                   if (left->dropped)
                     line.add("effect",
                              "a transaction that was in progress when a process died is not applied; no acknowledged "
                              "write is lost");
                 });
  const auto path = options.path;
  const auto open = [&]() -> Result<std::unique_ptr<database::Database>> {
    if (settings.dry_run) {
      auto made = ScratchDatabase::of(options);
      if (!made) return std::unexpected(std::move(made).error());
      scratch = std::move(*made);
      options.path = scratch->path();
    }
    return database::open_sqlite(options);
  };
  auto* patience = Patience::current();
  auto opened = patience ? patience->retry(open) : open();
  if (!opened) retryable = opened.error().retryable;
  if (!opened)
    return {{.code = "database",
             .file = from.file.empty() ? settings.contract : from.file,
             .at = at,
             .what = "the database " + path + " cannot be opened: " + database::reason_of(opened.error()),
             .remedy = database::remedy_of(opened.error())}};
  database = std::move(*opened);
  database_file = options.path;
  {
    const std::scoped_lock lock(mutex);
    breakable = database.get();
  }
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

contract::Complaints Process::check_row_security(const Deployment& from) {
  if (!database::is_postgres_url(from.database.url)) return {};
  const auto wrong = [&](std::string what, std::string remedy) -> contract::Complaints {
    return {{.code = "database", .file = from.file, .what = std::move(what), .remedy = std::move(remedy)}};
  };
  // Who asks, whether policies hold for that role, whether there are any, and a table of ours.
  constexpr std::string_view kAsks =
      "SELECT current_user::text,r.rolsuper,r.rolbypassrls,EXISTS(SELECT FROM pg_policy),"
      "(SELECT min(polrelid::regclass::text) FROM pg_policy WHERE polname=?::text) "
      "FROM pg_roles r WHERE r.rolname=current_user";
  auto found = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
    const database::Cell name[] = {std::string(database::kPolicy)};
    auto read = co_await database->read(loop, kAsks, name, false);
    co_return read;
  });
  if (!found || found->empty()) {
    if (!found) retryable = found.error().retryable;
    return wrong("policies of the tables cannot be looked up: " +
                     (found ? std::string("pg_roles does not show the role of the session")
                            : database::reason_of(found.error())),
                 found ? "Let the role read pg_roles and pg_policy." : database::remedy_of(found.error()));
  }
  const auto& row = found->front();
  const auto role = database::text_at(row, 0), table = database::text_at(row, 4);
  const bool super = database::number_at(row, 1) != 0, bypass = database::number_at(row, 2) != 0;
  if (!from.database.row_security) {
    if (table.empty()) return {};
    return wrong(
        "table " + table + " has a row-level security policy, and the server does not set the caller",
        "Write `database: {row-security: true}`, or drop the policies `" + std::string(database::kPolicy) + "`.");
  }
  if (super || bypass)
    return wrong("`row-security: true`, and the role " + role + (super ? " is a superuser" : " has BYPASSRLS") +
                     ", for which no policy holds",
                 "Connect as another role: `database: {url: 'postgres://ROLE@…'}`; docs/postgresql.md lists the rights "
                 "that it needs.");
  if (database::number_at(row, 3) == 0)
    return wrong("`row-security: true`, and no table has a policy, so that nothing is kept apart",
                 "Write the policies with `plimsoll migrate rls " + settings.contract +
                     "` and apply them with `plimsoll migrate up`, or remove `row-security`.");
  return {};
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
  for (const auto& name : *done) applied.push_back("applied migration " + name);
  return {};
}

}  // namespace plimsoll::server
