#include "plimsoll/database/migrations.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/read_file.hpp"
#include "plimsoll/base/timestamp.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/database/wait.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

namespace plimsoll::database {
namespace {

using State = MigrationStatus::State;

constexpr std::string_view kColumns =
    "name TEXT PRIMARY KEY NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL";
constexpr std::string_view kApplied = "SELECT name, checksum, applied_at FROM plimsoll_migrations ORDER BY name";

Task<Result<std::vector<AppliedMigration>>> applied_in(Session& session, const Dialect& dialect) {
  // Where it is there the right to make tables is not needed.
  if (auto made = co_await prepare_own_table(session, dialect, {.name = "plimsoll_migrations", .columns = kColumns});
      !made)
    co_return std::unexpected(std::move(made).error());
  auto rows = co_await session.query(kApplied, {});
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::vector<AppliedMigration> applied;
  for (auto& row : *rows)
    applied.push_back({std::get<std::string>(row[0]), std::get<std::string>(row[1]), std::get<std::string>(row[2])});
  co_return applied;
}

Error with_remedy(std::string what, std::string_view remedy) {
  Error error{&kMigration, std::move(what)};
  if (!remedy.empty()) error.more().cause = error.detail + std::string(kRemedyFollows) + std::string(remedy);
  return error;
}

/// The first thing that forbids applying anything.
Result<> sound(const std::vector<MigrationStatus>& all) {
  const auto refuse = [](std::string what, std::string_view remedy) {
    return std::unexpected(with_remedy(std::move(what), remedy));
  };
  for (auto& one : all) {
    if (one.state == State::changed)
      return refuse("migration " + one.name + " was edited after it had been applied",
                    "Restore the file as it was applied, and write what is to change into a new one.");
    if (one.state == State::missing)
      return refuse("migration " + one.name + " was applied and its file is gone",
                    "Put the file back into the folder, or name the folder that has it.");
    if (one.state == State::out_of_order)
      return refuse("migration " + one.name + " comes before one that is applied already",
                    "Rename it so that it comes after all that are applied.");
  }
  return {};
}

/// Applies the first pending file; its name, or empty when there is none.
Task<Result<std::string>> apply_next(Session& session, const Dialect& dialect, const std::vector<Migration>& files,
                                     const std::string& now, const std::function<void(std::string_view)>& begins) {
  session.alone("plimsoll.migrations");
  auto applied = co_await applied_in(session, dialect);
  if (!applied) co_return std::unexpected(std::move(applied).error());
  const auto all = compare_migrations(files, *applied);
  if (auto good = sound(all); !good) co_return std::unexpected(std::move(good).error());
  const auto next = std::ranges::find(all, State::pending, &MigrationStatus::state);
  if (next == all.end()) co_return std::string{};
  const auto file = std::ranges::find(files, next->name, &Migration::name);
  if (begins) begins(file->name);
  auto done = co_await session.script(file->sql);
  if (!done) {
    auto error = std::move(done).error();
    if (error.problem == &kUnavailable) {  // a fault of the environment, which may pass, and not of the file
      error.more().cause = "migration " + file->name + ": " + reason_of(error);
      co_return std::unexpected(std::move(error));
    }
    co_return std::unexpected(with_remedy(
        "migration " + file->name + " failed and was rolled back: " + reason_of(error), own_remedy_of(error)));
  }
  const Cell cells[] = {file->name, file->checksum, now};
  auto noted = co_await session.query("INSERT INTO plimsoll_migrations(name,checksum,applied_at) VALUES(?,?,?)", cells);
  if (!noted) co_return std::unexpected(std::move(noted).error());
  co_return file->name;
}

}  // namespace

std::string_view to_string(State state) {
  constexpr std::string_view names[] = {"applied", "pending", "changed", "missing", "out of order"};
  return names[static_cast<std::size_t>(state)];
}

std::vector<MigrationStatus> compare_migrations(const std::vector<Migration>& files,
                                                const std::vector<AppliedMigration>& applied) {
  std::vector<MigrationStatus> all;
  std::string last;
  for (auto& known : applied) last = std::max(last, known.name);
  for (auto& file : files) {
    const auto known = std::ranges::find(applied, file.name, &AppliedMigration::name);
    if (known == applied.end())
      all.push_back({file.name < last ? State::out_of_order : State::pending, file.name});
    else
      all.push_back({known->checksum == file.checksum ? State::applied : State::changed, file.name, known->applied_at});
  }
  for (auto& known : applied)
    if (std::ranges::find(files, known.name, &Migration::name) == files.end())
      all.push_back({State::missing, known.name, known.applied_at});
  std::ranges::sort(all, {}, &MigrationStatus::name);
  return all;
}

Result<std::vector<Migration>> read_migrations(const std::string& folder) {
  namespace fs = std::filesystem;
  std::vector<Migration> files;
  std::error_code code;
  fs::directory_iterator entry{folder, code};
  if (code == std::errc::no_such_file_or_directory) return files;
  for (; !code && entry != fs::directory_iterator(); entry.increment(code)) {
    const auto& path = entry->path();
    if (path.extension() != ".sql") continue;
    auto text = read_file(path);
    if (!text) return fail(kMigration, "the file " + path.string() + " cannot be read: " + text.error().message());
    files.push_back({.name = path.stem().string(), .sql = std::move(*text), .checksum = {}});
    files.back().checksum = to_hex(as_text(sha256(files.back().sql)));
  }
  if (code) return fail(kMigration, "the folder " + folder + " cannot be read: " + code.message());
  std::ranges::sort(files, {}, &Migration::name);
  return files;
}

Result<std::vector<MigrationStatus>> migration_status(Database& database, const std::vector<Migration>& files) {
  return wait_for([&](Loop& loop) -> Task<Result<std::vector<MigrationStatus>>> {
    std::vector<AppliedMigration> applied;
    auto known = co_await has_table(database, loop, "plimsoll_migrations");
    if (!known) co_return std::unexpected(std::move(known).error());
    if (*known) {
      auto rows = co_await database.read(loop, kApplied, {}, false);
      if (!rows) co_return std::unexpected(std::move(rows).error());
      for (auto& row : *rows)
        applied.push_back(
            {std::get<std::string>(row[0]), std::get<std::string>(row[1]), std::get<std::string>(row[2])});
    }
    co_return compare_migrations(files, applied);
  });
}

Result<std::vector<std::string>> apply_migrations(Database& database, const std::vector<Migration>& files,
                                                  std::int64_t wall,
                                                  const std::function<void(std::string_view)>& begins) {
  std::vector<std::string> names;
  const auto now = rfc3339_seconds(wall / 1'000'000'000);
  for (;;) {
    std::string name;
    auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
      auto written = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
        auto applied = co_await apply_next(session, database.dialect(), files, now, begins);
        if (!applied) co_return std::unexpected(std::move(applied).error());
        name = std::move(*applied);
        co_return Result<>{};
      });
      co_return written;
    });
    if (!done) return std::unexpected(std::move(done).error());
    if (name.empty()) return names;
    names.push_back(std::move(name));
  }
}

}  // namespace plimsoll::database
