#include "apps/plimsoll/commands.hpp"
#include "plimsoll/base/clock.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_policies.hpp"
#include "plimsoll/database/postgres_target.hpp"
#include "plimsoll/database/scratch_schema.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/handler/table/prepare.hpp"
#include "plimsoll/server/deployment.hpp"
#include "plimsoll/server/instance.hpp"

#include <stdlib.h>
#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

namespace plimsoll::command {
namespace {

using database::MigrationStatus;

namespace fs = std::filesystem;

struct Options {
  std::string action, name, contract, config, folder;
};

int complain_of_files(const Error& error, const std::string& folder) {
  const auto own = database::own_remedy_of(error);
  return complain(database::reason_of(error), folder, own.empty() ? database::kMigration.remedy : own);
}

/// A database of its own, which goes when it does: in a folder, or on the same PostgreSQL server a schema beside the
/// others, which is all that its connections see.
class Scratch {
 public:
  Scratch() = default;
  ~Scratch() {
    database.reset();
    if (schema_)
      if (auto dropped = schema_->drop(); !dropped)
        complain("the schema " + schema_->name() + " remains: " + database::reason_of(dropped.error()), {}, "Drop it.");
    std::error_code ignored;
    if (!folder_.empty()) fs::remove_all(folder_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  Result<> open(const database::PostgresOptions& options) {
    auto made = database::ScratchSchema::make(options);
    if (!made) return std::unexpected(std::move(made).error());
    schema_ = std::move(*made);
    auto inside = options;
    inside.url = schema_->url();
    auto opened = database::open_postgres(inside);
    if (!opened) return std::unexpected(std::move(opened).error());
    database = std::move(*opened);
    return {};
  }
  Result<> open() {
    auto pattern = (fs::temp_directory_path() / "plimsoll-migrate-XXXXXX").string();
    if (::mkdtemp(pattern.data())) folder_ = pattern;
    if (folder_.empty())
      return fail(database::kMigration, "no folder can be made in " + fs::temp_directory_path().string());
    auto opened = database::open_sqlite({.path = folder_ + "/scratch.db"});
    if (!opened) return std::unexpected(std::move(opened).error());
    database = std::move(*opened);
    return {};
  }
  std::unique_ptr<database::Database> database;

 private:
  std::string folder_;
  std::unique_ptr<database::ScratchSchema> schema_;
};

/// A name in SQL as it stands at the beginning of a text, with its quotes.
std::string_view name_at(std::string_view text) {
  if (!text.starts_with('"')) return text.substr(0, text.find(' '));
  auto end = text.find('"', 1);
  while (end != text.npos && text.substr(end + 1).starts_with('"')) end = text.find('"', end + 2);
  return end == text.npos ? text : text.substr(0, end + 1);
}

std::string as_text(std::string_view text) {
  std::string made = "'";
  for (const char c : text) made += c == '\'' ? std::string(2, c) : std::string(1, c);
  return made + "'";
}

/// PostgreSQL has no ADD CONSTRAINT IF NOT EXISTS.
std::string constraint_where_missing(const std::string& statement) {
  constexpr std::string_view kBegin = "ALTER TABLE ", kAdd = " ADD CONSTRAINT ";
  const auto table = name_at(std::string_view(statement).substr(kBegin.size()));
  const auto rest = std::string_view(statement).substr(kBegin.size() + table.size());
  if (!rest.starts_with(kAdd)) return statement;
  auto name = std::string(name_at(rest.substr(kAdd.size())));
  if (name.starts_with('"')) {
    name = name.substr(1, name.size() - 2);
    for (auto at = name.find("\"\""); at != name.npos; at = name.find("\"\"", at + 1)) name.erase(at, 1);
  }
  return "DO $plimsoll$BEGIN IF NOT EXISTS(SELECT FROM pg_constraint WHERE conrelid=" + as_text(table) +
         "::regclass AND conname=left(" + as_text(name) + ",63)) THEN " + statement + " END IF; END$plimsoll$;";
}

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

/// `CREATE TABLE x` as `CREATE TABLE IF NOT EXISTS x`: a first migration is also for databases whose tables the server
/// made.
std::string where_missing(std::string statement) {
  for (std::string_view begin : {"CREATE TABLE ", "CREATE UNIQUE INDEX ", "CREATE INDEX ", "CREATE VIRTUAL TABLE ",
                                 "CREATE TRIGGER ", "CREATE VIEW "})
    if (statement.starts_with(begin)) return statement.insert(begin.size(), "IF NOT EXISTS ");
  return statement.starts_with("ALTER TABLE ") ? constraint_where_missing(statement) : statement;
}

/// The tables of a contract, and the name of the next file. Not 0: what is wrong has been said.
int read_for_new(const Options& options, std::shared_ptr<const contract::Contract>& loaded, table::Model& model) {
  auto read = server::load_contract(options.contract, {});
  if (!read) return complain(read.error());
  loaded = std::move(*read);
  std::vector<table::Wrong> wrong;
  model = table::read_model(*loaded->root, wrong);
  if (model.tables.empty())
    return complain("the contract declares no tables", options.contract,
                    "Declare them under `x-plimsoll: {tables: …}`.");
  if (const auto bad =
          options.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
      options.name.empty() || bad != options.name.npos)
    return complain("\"" + options.name + "\" is not a valid name for a migration", {},
                    "Use letters, digits, `_` and `-`.");
  return 0;
}

/// Never over a file that is there.
int write_file(const Options& options, const std::string& folder, const std::vector<database::Migration>& files,
               const std::string& text) {
  std::error_code code;
  fs::create_directories(folder, code);
  const auto file = (fs::path(folder) / (next_number(files) + options.name + ".sql")).string();
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

/// Writes the migration that lets PostgreSQL itself keep the rows of tenants and owners apart.
int write_rls(Options options, const std::string& folder, const std::vector<database::Migration>& files) {
  if (options.name.empty()) options.name = "row_level_security";
  std::shared_ptr<const contract::Contract> loaded;
  table::Model model;
  if (const int status = read_for_new(options, loaded, model)) return status;
  if (files.empty())
    return complain(
        "there is no folder of migrations, and policies are a migration: the server would then create no tables itself",
        folder, "Write that of the tables first: `plimsoll migrate new tables " + options.contract + "`.");
  std::string text =
      "-- Policies for tenants and owners of rows, as the contract declares them now.\n"
      "-- The deployment says `database: {row-security: true}`; a policy on a view has to be left out.\n";
  bool any = false;
  for (const auto& table : model.tables) {
    if (!table.tenant && !table.owner) continue;
    any = true;
    text += database::policy_statements({.name = table.name,
                                         .tenant = table.tenant ? table.columns[*table.tenant].name : "",
                                         .owner = table.owner ? table.columns[*table.owner].name : "",
                                         .except_roles = table.owner_except});
  }
  if (!any)
    return complain("no table of the contract has an `owner` or a `tenant`", options.contract,
                    "There is nothing to keep apart.");
  return write_file(options, folder, files, text);
}

/// Writes the next migration: what is missing behind those that are there, which are applied to a database of their
/// own. The first one holds the tables as a database has them already, or as the contract declares them.
int write_new(const Options& options, const std::string& folder, const server::DatabaseOptions& at,
              const std::vector<database::Migration>& files) {
  std::shared_ptr<const contract::Contract> loaded;
  table::Model model;
  if (const int status = read_for_new(options, loaded, model)) return status;
  const bool postgres = database::is_postgres_url(at.url);
  Scratch scratch;
  if (auto opened = postgres ? scratch.open(at.postgres) : scratch.open(); !opened) {
    if (opened.error().problem != &database::kMigration) return complain(opened.error());
    return complain(database::reason_of(opened.error()), {},
                    "Give the role the right to make schemas, or use one that has it.");
  }
  std::vector<std::string> statements;
  std::error_code code;
  if (!files.empty()) {
    if (auto applied = database::apply_migrations(*scratch.database, files, system_clock().wall()); !applied)
      return complain_of_files(applied.error(), folder);
  } else if (postgres || fs::exists(at.sqlite.path, code)) {
    auto present = postgres ? database::open_postgres(at.postgres) : database::open_sqlite({.path = at.sqlite.path});
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
                                  (postgres ? "the database" : fs::path(at.sqlite.path).filename().string()) +
                                  " has them.\n"
                     : first              ? "-- The tables as the contract declares them.\n"
                     : statements.empty() ? "-- The migrations before this one make all that the contract declares.\n"
                                          : "-- What the contract declares beyond the migrations before this one.\n";
  for (auto& statement : statements) text += (first ? where_missing(statement) : statement) + "\n";
  if (const int status = write_file(options, folder, files, text); status || !copied) return status;
  // What the contract declares beyond the tables that are there is the next migration's.
  std::string script;
  for (auto& statement : statements) script += statement + "\n";
  const std::vector<database::Migration> made{{.name = "0", .sql = script, .checksum = {}}};
  if (auto applied = database::apply_migrations(*scratch.database, made, 0); !applied) return complain(applied.error());
  auto more = table::missing_statements(*scratch.database, model);
  if (!more) return complain(more.error());
  if (!more->empty()) std::puts("the contract declares more: `plimsoll migrate new NAME` again writes that");
  return 0;
}

int run(Options options) {
  if (options.action == "new" && options.contract.empty())
    return complain("`migrate new` needs a name and a contract", {}, "plimsoll migrate new NAME CONTRACT");
  if (options.action != "new" && options.contract.empty()) options.contract = std::exchange(options.name, {});
  if (options.action == "rls" && options.contract.empty())
    return complain("`migrate rls` needs a contract", {}, "plimsoll migrate rls CONTRACT");
  auto deployment = server::read_deployment(options.config);
  if (!deployment) return complain(deployment.error());
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
  if (files->empty() && options.action != "new" && options.action != "rls")
    return complain(
        "there are no migrations", folder,
        "`plimsoll migrate new NAME CONTRACT` writes the first; `--migrations FOLDER` names another folder.");
  at.sqlite.path = at.url.empty() ? fs::path(options.contract).stem().string() + ".db"
                                  : at.url.substr(at.url.starts_with("sqlite:") ? 7 : 0);
  at.postgres.least = 0;
  if (options.action == "new") return write_new(options, folder, at, *files);
  if (options.action == "rls" && !database::is_postgres_url(at.url))
    return complain("row-level security is PostgreSQL's, and the deployment names no such server", {},
                    "Name it: `database: {url: 'postgres://…'}`, or another deployment with --config.");
  if (options.action == "rls") return write_rls(options, folder, *files);
  auto opened =
      database::is_postgres_url(at.url) ? database::open_postgres(at.postgres) : database::open_sqlite(at.sqlite);
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
  app.add_option("CONTRACT", options->contract, "OpenAPI document whose database it is");
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
