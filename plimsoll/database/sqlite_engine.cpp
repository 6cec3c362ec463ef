#include "plimsoll/database/engine.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/sqlite_files.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <stdlib.h>
#include <filesystem>

namespace plimsoll::database {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSchemes[] = {"sqlite:"};

/// A folder that goes with it; empty where none could be made.
class Folder {
 public:
  explicit Folder(std::string_view purpose) {
    std::error_code unknown;
    auto pattern = (fs::temp_directory_path(unknown) / ("plimsoll-" + std::string(purpose) + "-XXXXXX")).string();
    if (!unknown && ::mkdtemp(pattern.data())) path_ = pattern;
  }
  ~Folder() { remove(); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  void remove() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

Error no_folder() {
  std::error_code unknown;
  const auto folder = fs::temp_directory_path(unknown);
  Error error = Error{&kMigration}.because("no folder can be made" + (unknown ? "" : " in " + folder.string()) +
                                           " for temporary files" + std::string(kRemedyFollows) +
                                           "Set TMPDIR to a folder that can be written.");
  error.retryable = false;
  return error;
}

Result<SqliteOptions> options_at(const Place& place) {
  SqliteOptions options;
  if (auto read = read_options(place, kSqliteFields, &options); !read) return std::unexpected(std::move(read).error());
  options.path = file_of(place.url);
  return options;
}

/// What SQLite would take for something else than the path of a file; empty: nothing.
std::string_view no_file(const std::string& path) {
  std::error_code unknown;
  if (path.empty()) return "it names no file";
  if (path == ":memory:") return "a database in memory has no readers beside its writer";
  if (path.starts_with("file:")) return "the URIs of SQLite are not read";
  if (fs::is_directory(path, unknown)) return "it is a folder";
  return {};
}

std::vector<Error> check(const Place& place) {
  const auto options = options_at(place);
  if (!options) return {options.error()};
  const auto* url = place.options ? place.options->find("url") : nullptr;
  if (!url || place.url.empty()) return {};
  const auto why = no_file(options->path);
  if (why.empty()) return {};
  auto wrong =
      config::wrong(*url, "`" + place.url + "`: " + std::string(why), "Write `sqlite:PATH`, with the path of a file.");
  return {std::move(wrong).error()};
}

void log_recovery(const std::string& path, telemetry::Log& log) {
  const auto left = inspect_wal(path);
  if (!left || (left->kept == 0 && left->dropped == 0)) return;
  log.write(left->dropped ? telemetry::Level::warning : telemetry::Level::info, "database-recovered",
            [&](telemetry::Line& line) {
              line.add("log_frames_applied", left->kept).add("log_frames_dropped", left->dropped);
              if (left->dropped)
                line.add("effect",
                         "a transaction that was in progress when a process died is not applied; no acknowledged write "
                         "is lost");
            });
}

/// An error where the log beside the file is not that of the file. `log`: is told of a doubt; null: nobody.
Result<> check_log(const SqliteOptions& options, telemetry::Log* log) {
  const auto match = match_log(options);
  if (!match) return std::unexpected(match.error());
  if (*match == LogMatch::same || !log) return {};
  log->write(telemetry::Level::warning, "database-log-in-doubt", [](telemetry::Line& line) {
    line.add("effect",
             "the database file was changed after its log was written; both together are sound and are used: a backup "
             "that was copied over the file has no effect (`plimsoll database restore` puts one in its place)");
  });
  return {};
}

/// A copy of all tables without their rows stands for the file.
Result<> try_on_copy(SqliteOptions& options, OpenDatabase& made) {
  std::error_code unknown;
  const auto parent = fs::path(options.path).parent_path();
  const auto type = fs::status(parent, unknown).type();  // none: it cannot be told, and opening says why
  if (!parent.empty() && type != fs::file_type::directory && type != fs::file_type::none) {
    Error error =
        Error{&kUnavailable}.because("there is no folder " + parent.string() + std::string(kRemedyFollows) +
                                     "Make the folder, or name another file with `database: {url: 'sqlite:PATH'}`.");
    error.retryable = may_be_mounted_later(options.path);
    return std::unexpected(std::move(error));
  }
  auto folder = std::make_shared<Folder>("check");
  if (folder->path().empty()) return std::unexpected(no_folder());
  const auto from = std::exchange(options.path, folder->path() + "/scratch.db");
  made.rests_on = std::move(folder);
  return copy_structure(from, options);
}

Result<OpenDatabase> open(const Place& place, const Opening& opening) {
  auto options = options_at(place);
  if (!options) return std::unexpected(std::move(options).error());
  OpenDatabase made;
  options->log = opening.log;
  options->slow = opening.slow;
  const bool look = opening.purpose == Opening::Purpose::look;
  const bool command = look || opening.purpose == Opening::Purpose::command;
  if (command) options->readers = 1;
  if (look) options->read_as = uri_to_read(options->path);
  if (opening.purpose != Opening::Purpose::trial)
    if (auto fits = check_log(*options, opening.log); !fits) return std::unexpected(std::move(fits).error());
  if (!command && opening.log && !opening.repeated) log_recovery(options->path, *opening.log);
  if (opening.purpose == Opening::Purpose::trial)
    if (auto copied = try_on_copy(*options, made); !copied) return std::unexpected(std::move(copied).error());
  auto opened = open_sqlite(*options);
  if (!opened) {
    if (may_be_mounted_later(options->path)) opened.error().retryable = true;
    return std::unexpected(std::move(opened).error());
  }
  made.database = std::move(*opened);
  made.file = options->path;
  return made;
}

class Scratch final : public ScratchDatabase {
 public:
  const std::string& url() const noexcept override { return url_; }
  Result<> remove() override {
    folder_.remove();
    return {};
  }
  bool made() const noexcept { return !folder_.path().empty(); }

 private:
  Folder folder_{"scratch"};
  const std::string url_ = std::string(kSchemes[0]) + folder_.path() + "/scratch.db";
};

Result<std::unique_ptr<ScratchDatabase>> scratch(const Place&) {
  auto made = std::make_unique<Scratch>();
  if (!made->made()) return std::unexpected(no_folder());
  return made;
}

Result<> copy_to(const Place& from, const std::string& to) {
  const SqliteOptions options{.path = file_of(from.url)};
  auto fits = check_log(options, nullptr);
  return fits ? back_up(options, to) : fits;
}
Result<std::vector<std::string>> look_through(const Place& place) {
  const SqliteOptions options{.path = file_of(place.url)};
  if (auto fits = check_log(options, nullptr); !fits) return std::unexpected(std::move(fits).error());
  return verify(options);
}

}  // namespace

extern constinit const Engine sqlite_engine{
    .name = "SQLite",
    .schemes = kSchemes,
    .form = "sqlite:PATH",
    .file = true,
    .options = [] { return kSqliteFields; },
    .defaults = config::defaults_of<SqliteOptions>,
    .check = check,
    .open = open,
    .scratch = scratch,
    .catalogue = read_sqlite_catalogue,
    .schema_of = sqlite_schema_of,
    .back_up = copy_to,
    .verify = look_through,
    .restore = [](const Place& to, const std::string& from) { return restore({.path = file_of(to.url)}, from); },
};

}  // namespace plimsoll::database
