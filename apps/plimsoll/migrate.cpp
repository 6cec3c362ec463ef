#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/database_path.hpp"
#include "plimsoll/base/clock.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/database/engine.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/handler/table/merge.hpp"
#include "plimsoll/handler/table/prepare.hpp"
#include "plimsoll/server/deployment.hpp"
#include "plimsoll/server/instance.hpp"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

namespace plimsoll::command {
namespace {

using database::MigrationStatus;

namespace fs = std::filesystem;

struct Options {
  std::string action, name, config, folder;
  std::vector<std::string> contracts;  ///< several: versions of an API, which share their tables

  std::string contract() const { return contracts.empty() ? std::string{} : contracts.front(); }
};

std::string listed(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

int complain_of_files(const Error& error, const std::string& folder) {
  const auto own = database::own_remedy_of(error);
  return complain(database::reason_of(error), folder, own.empty() ? database::kMigration.remedy : own);
}

/// An empty database of its own, which goes when it does.
class Scratch {
 public:
  Scratch() = default;
  ~Scratch() {
    database.reset();
    if (!place_) return;
    if (auto removed = place_->remove(); !removed)
      complain(database::reason_of(removed.error()), {}, database::remedy_of(removed.error()));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  Result<> open(const database::Engine& engine, const database::Place& beside) {
    if (!engine.scratch)
      return fail(database::kMigration, "no database can be made beside " + database::shown(beside.url));
    auto made = engine.scratch(beside);
    if (!made) return std::unexpected(std::move(made).error());
    place_ = std::move(*made);
    auto opened = open_database(engine, {.url = place_->url(), .options = beside.options});
    if (!opened) return std::unexpected(std::move(opened).error());
    database = std::move(*opened);
    return {};
  }
  std::unique_ptr<database::Database> database;

 private:
  std::unique_ptr<database::ScratchDatabase> place_;
};

/// `0007_` behind `0006_…`, as wide as the last; `0001_` where there is none.
std::string next_number(const std::vector<database::Migration>& files) {
  std::string digits = "0000";
  if (!files.empty()) {
    const auto& last = files.back().name;
    digits = last.substr(0, std::min(last.find_first_not_of("0123456789"), last.size()));
  }
  for (auto at = digits.size(); at-- > 0;) {
    if (digits[at] != '9') {
      ++digits[at];
      return digits + "_";
    }
    digits[at] = '0';
  }
  return "";  // without numbers, or with none left
}

/// The tables of the contracts, which are kept as long as these are needed.
struct Declared {
  std::vector<std::shared_ptr<const contract::Contract>> contracts;
  table::Model model;
};

/// Checks the name of the next file as well. Not 0: what is wrong has been said.
int read_for_new(const Options& options, Declared& declared) {
  table::Merged merged;
  contract::Complaints complaints;
  for (const auto& file : options.contracts) {
    auto read = server::load_contract(file, {});
    if (!read) return complain(read.error());
    declared.contracts.push_back(std::move(*read));
    std::vector<table::Wrong> wrong;
    merged.add(table::read_model(*declared.contracts.back()->root, wrong), *declared.contracts.back(), complaints);
  }
  merged.finish();
  if (!complaints.empty()) return complain(complaints);
  declared.model = std::move(merged.model);
  if (declared.model.tables.empty())
    return complain("the contract declares no tables", listed(options.contracts),
                    "Declare them under `x-plimsoll: {tables: …}`.");
  if (const auto bad =
          options.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
      options.name.empty() || bad != options.name.npos)
    return complain("\"" + options.name + "\" is not a valid name for a migration", {},
                    "Use letters, digits, `_` and `-`.");
  return 0;
}

std::string file_of_new(const Options& options, const std::string& folder,
                        const std::vector<database::Migration>& files) {
  return (fs::path(folder) / (next_number(files) + options.name + ".sql")).string();
}

/// Never over a file that is there.
int write_file(const Options& options, const std::string& folder, const std::vector<database::Migration>& files,
               const std::string& text) {
  std::error_code code;
  fs::create_directories(folder, code);
  const auto file = file_of_new(options, folder, files);
  if (!files.empty() && fs::path(file).stem().string() <= files.back().name)
    return complain("\"" + fs::path(file).stem().string() + "\" would not come after \"" + files.back().name + "\"",
                    folder, "Choose a name that sorts behind it.");
  std::FILE* out = std::fopen(file.c_str(), "wxb");
  const bool written = out && std::fwrite(text.data(), 1, text.size(), out) == text.size();
  if ((out && std::fclose(out) != 0) || !written)
    return complain("the migration cannot be written", file, "Check the folder and its rights.");
  std::printf("wrote %s\n", file.c_str());
  return 0;
}

/// Writes the migration that lets the database itself keep the rows of tenants and owners apart.
int write_rls(Options options, const database::Engine& engine, const std::string& folder,
              const std::vector<database::Migration>& files) {
  if (options.name.empty()) options.name = "row_level_security";
  Declared declared;
  if (const int status = read_for_new(options, declared)) return status;
  const auto& model = declared.model;
  if (files.empty())
    return complain(
        "there is no folder of migrations, and policies are a migration: the server would then create no tables itself",
        folder, "Write that of the tables first: `plimsoll migrate new tables " + listed(options.contracts) + "`.");
  std::string text =
      "-- Policies for tenants and owners of rows, as the contract declares them now.\n"
      "-- The deployment says `database: {row-security: true}`; a policy on a view has to be left out.\n";
  bool any = false;
  for (const auto& table : model.tables) {
    if (!table.tenant && !table.owner) continue;
    any = true;
    text += engine.policy_statements({.name = table.name,
                                      .tenant = table.tenant ? table.columns[*table.tenant].name : "",
                                      .owner = table.owner ? table.columns[*table.owner].name : "",
                                      .except_roles = table.owner_except});
  }
  if (!any)
    return complain("no table of the contract has an `owner` or a `tenant`", listed(options.contracts),
                    "There is nothing to keep apart.");
  return write_file(options, folder, files, text);
}

/// Writes the next migration: what is missing behind those that are there, which are applied to a database of their
/// own. The first one holds the tables as a database has them already, or as the contract declares them.
int write_new(const Options& options, const std::string& folder, const database::Engine& engine,
              const database::Place& place, const std::vector<database::Migration>& files) {
  Declared declared;
  if (const int status = read_for_new(options, declared)) return status;
  const auto& model = declared.model;
  const auto path = database::file_of(place.url);
  if (auto found = find_folder(engine, place); files.empty() && !found) return complain(found.error());
  Scratch scratch;
  if (auto opened = scratch.open(engine, place); !opened) {
    if (opened.error().problem != &database::kMigration) return complain(opened.error());
    return complain(database::reason_of(opened.error()), {}, database::remedy_of(opened.error()));
  }
  std::vector<std::string> statements;
  std::error_code code;
  if (!files.empty()) {
    if (auto applied = database::apply_migrations(*scratch.database, files, system_clock().wall()); !applied)
      return complain_of_files(applied.error(), folder);
  } else if (!engine.file || fs::exists(path, code) || code) {
    auto present = open_database(engine, place, Purpose::look);
    if (!present) return complain(present.error());
    auto found = table::present_statements(**present, model);
    if (!found) return complain(found.error());
    statements = std::move(*found);
  }
  const bool first = files.empty(), copied = !statements.empty();
  if (!copied) {
    auto missing = table::missing_statements(*scratch.database, model);
    if (!missing) return complain(missing.error());
    statements = std::move(*missing);
  }
  std::string text = copied ? "-- The tables as " +
                                  (engine.file ? fs::path(path).filename().string() : "the database") + " has them.\n"
                     : first              ? "-- The tables as the contract declares them.\n"
                     : statements.empty() ? "-- The migrations before this one make all that the contract declares.\n"
                                          : "-- What the contract declares beyond the migrations before this one.\n";
  for (auto& statement : statements)
    text += (first ? scratch.database->dialect().where_missing(statement) : statement) + "\n";
  if (copied) {
    // What cannot make the tables again is no migration.
    const auto file = file_of_new(options, folder, files);
    const std::vector<database::Migration> made{{.name = fs::path(file).stem().string(), .sql = text, .checksum = {}}};
    if (auto applied = database::apply_migrations(*scratch.database, made, 0); !applied)
      return complain("the file is not written, since it does not make the tables in an empty database: " +
                          database::reason_of(applied.error()),
                      file,
                      "Write it yourself from the tables that are there: what this command does not know (functions, "
                      "types, schemas) goes before them.");
  }
  if (const int status = write_file(options, folder, files, text); status || !copied) return status;
  // What the contract declares beyond the tables that are there is the next migration's.
  auto more = table::missing_statements(*scratch.database, model);
  if (!more) return complain(more.error());
  if (!more->empty()) std::puts("the contract declares more: `plimsoll migrate new NAME` again writes that");
  return 0;
}

/// As a start finds it: beside one of the contracts, where the deployment names none.
std::string folder_of(const Options& options, const std::string& deployed) {
  if (!options.folder.empty()) return options.folder;
  if (!deployed.empty()) return deployed;
  const auto beside = [](const std::string& contract) {
    return (fs::path(contract).parent_path() / "migrations").string();
  };
  std::error_code unknown;
  for (const auto& contract : options.contracts)
    if (fs::is_directory(beside(contract), unknown)) return beside(contract);
  return beside(options.contract());
}

int run(Options options) {
  if (options.action == "new" && options.contracts.empty())
    return complain("`migrate new` needs a name and a contract", {}, "plimsoll migrate new NAME CONTRACT");
  std::error_code unknown;
  const bool named = options.action == "new" || (options.action == "rls" && !options.contracts.empty() &&
                                                 !fs::is_regular_file(options.name, unknown));
  if (!named && !options.name.empty())
    options.contracts.insert(options.contracts.begin(), std::exchange(options.name, {}));
  if (options.action == "rls" && options.contracts.empty())
    return complain("`migrate rls` needs a contract", {}, "plimsoll migrate rls CONTRACT");
  auto deployment = server::read_deployment(options.config, options.contracts);
  if (!deployment) return complain(deployment.error());
  for (const auto& file : options.contracts)
    if (!fs::is_regular_file(file, unknown))
      return complain("the contract cannot be read", file, "Give the path of a file that exists and can be read.");
  auto& at = deployment->database;
  if (at.url.empty() && options.contracts.empty())
    return complain(
        "no database is named", {},
        "Name the contract (its database is <name>.db), or `database: {url: 'sqlite:PATH'}` in plimsoll.yaml.");
  const auto folder = folder_of(options, at.migrations);
  auto files = database::read_migrations(folder);
  if (!files) return complain(files.error());
  if (files->empty() && options.action != "new" && options.action != "rls")
    return complain(
        "there are no migrations", folder,
        "`plimsoll migrate new NAME CONTRACT` writes the first; `--migrations FOLDER` names another folder.");
  const auto place = at.place_for(options.contract());
  const auto& engine = *database::engine_of(place.url);
  if (options.action == "new") return write_new(options, folder, engine, place, *files);
  constexpr auto kGuards = [](const database::Engine& each) { return each.policy_statements != nullptr; };
  if (options.action == "rls" && !engine.policy_statements) {
    const auto forms = database::listed_forms("`", "or", kGuards);
    return complain(
        std::string(engine.name) + " has no row-level security", {},
        "Name a database that has it with `database: {url: …}`, or another deployment with --config: " + forms + ".");
  }
  if (options.action == "rls") return write_rls(options, engine, folder, *files);
  const auto file = fs::absolute(database::file_of(place.url), unknown);  // empty where the engine keeps no file
  if (options.action == "status" && engine.file && !fs::exists(file, unknown) && !unknown &&
      fs::is_directory(file.parent_path(), unknown)) {
    for (const auto& each : *files) std::printf("%-12s %s\n", "pending", each.name.c_str());
    return 0;  // and none is made by looking
  }
  auto opened = open_database(engine, place, options.action == "up" ? Purpose::command : Purpose::look);
  if (!opened) return complain(opened.error());
  if (options.action == "up") {
    auto applied = database::apply_migrations(**opened, *files, system_clock().wall());
    if (!applied && applied.error().problem != &database::kMigration) return complain(applied.error());
    if (!applied) return complain_of_files(applied.error(), folder);
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
  app.add_option(
         "ACTION", options->action,
         "status: what is applied and what is not; up: applies what is pending; new: writes the next file; rls: writes "
         "policies for tenants and owners (PostgreSQL)")
      ->required()
      ->check(CLI::IsMember({"status", "up", "new", "rls"}));
  app.add_option("NAME", options->name, "Name of the new migration; omitted for the other actions");
  app.add_option("CONTRACT", options->contracts,
                 "OpenAPI document whose database it is; several are the versions of an API, as `serve` is given them");
  app.add_option("--config", options->config,
                 "Deployment; without it plimsoll.yaml in the working directory, when there is one")
      ->type_name("FILE");
  app.add_option("--migrations", options->folder, "Folder of the files; default: `migrations` beside the contract")
      ->type_name("FOLDER");
  return [options] { return run(*options); };
}

const Subcommand migrate{"migrate",
                         "Applies the migrations of the database, lists their status, or writes the next one", declare};

}  // namespace
}  // namespace plimsoll::command
