#include "apps/plimsoll/commands.hpp"
#include "plimsoll/base/clock.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/server/deployment.hpp"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

namespace plimsoll::command {
namespace {

using database::MigrationStatus;

struct Options {
  std::string action, contract, config, folder;
};

int run(const Options& options) {
  namespace fs = std::filesystem;
  auto deployment = server::read_deployment(options.config);
  if (!deployment) {
    for (const auto& each : deployment.error()) std::fprintf(stderr, "%s\n", contract::to_string(each).c_str());
    return 2;
  }
  if (!options.contract.empty() && !fs::is_regular_file(options.contract))
    return complain("the contract cannot be read", options.contract,
                    "Give the path of a file that exists and can be read.");
  auto& at = deployment->database;
  if (at.url.empty() && options.contract.empty())
    return complain(
        "no database is named", {},
        "Name the contract (its database is <name>.db), or `database: {url: 'sqlite:PATH'}` in plimsoll.yaml.");
  auto folder = !options.folder.empty() ? options.folder : at.migrations;
  if (folder.empty()) folder = (fs::path(options.contract).parent_path() / "migrations").string();
  auto files = database::read_migrations(folder);
  if (!files) return complain(files.error());
  if (files->empty())
    return complain("there are no migrations", folder, "Write `0001_name.sql` there, or say `--migrations FOLDER`.");
  at.sqlite.path = at.url.empty() ? fs::path(options.contract).stem().string() + ".db"
                                  : at.url.substr(at.url.starts_with("sqlite:") ? 7 : 0);
  auto opened = database::open_sqlite(at.sqlite);
  if (!opened) return complain(opened.error());
  if (options.action == "up") {
    auto applied = database::apply_migrations(**opened, *files, system_clock().wall());
    if (!applied && applied.error().problem != &database::kMigration) return complain(applied.error());
    if (!applied) return complain(applied.error().detail, folder, database::kMigration.remedy);
    for (const auto& name : *applied) std::printf("applied %s\n", name.c_str());
    if (applied->empty()) std::puts("nothing to do: all are applied");
    return 0;
  }
  auto status = database::migration_status(**opened, *files);
  if (!status) return complain(status.error());
  bool sound = true;
  for (const auto& one : *status) {
    std::printf("%-12s %s%s%s\n", std::string(to_string(one.state)).c_str(), one.name.c_str(),
                one.applied_at.empty() ? "" : "  ", one.applied_at.c_str());
    sound &= one.state == MigrationStatus::State::applied || one.state == MigrationStatus::State::pending;
  }
  return sound ? 0 : 2;
}

Subcommand::Run declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("ACTION", options->action, "status: what is applied and what is not; up: applies what is pending")
      ->required()
      ->check(CLI::IsMember({"status", "up"}));
  app.add_option("CONTRACT", options->contract, "OpenAPI document whose database it is");
  app.add_option("--config", options->config,
                 "Deployment; without it plimsoll.yaml in the working directory, when there is one")
      ->type_name("FILE");
  app.add_option("--migrations", options->folder, "Folder of the files; `migrations` beside the contract")
      ->type_name("FOLDER");
  return [options] { return run(*options); };
}

const Subcommand migrate{"migrate", "Applies the migrations of the database, or tells which are", declare};

}  // namespace
}  // namespace plimsoll::command
