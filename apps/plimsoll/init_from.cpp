#include "apps/plimsoll/init_from.hpp"

#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/database_path.hpp"
#include "apps/plimsoll/existing.hpp"
#include "plimsoll/database/engine.hpp"
#include "plimsoll/database/relation.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/instance.hpp"

#include <stdlib.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

namespace plimsoll::command {
namespace {

namespace fs = std::filesystem;
using database::Session;

constexpr const char* kPassword = "DATABASE_PASSWORD";
/// A view whose rows take longer to count is not served. Rows, since a view may have any number.
constexpr std::string_view kMostRows = "100000";
/// Each attempt leaves something out; a database in which so many tables are refused has a reason of its own.
constexpr int kMostAttempts = 50;

/// Where the password of a URL stands in it.
struct Password {
  std::size_t begin = 0, size = 0;
};
std::optional<Password> password_in(const std::string& url) {
  const auto begin = url.find("://") + 3;
  const auto end = std::min(url.find('/', begin), url.size());
  const auto host = url.rfind('@', end);
  const auto colon = url.find(':', begin);
  if (host == url.npos || host < begin || colon >= host) return std::nullopt;
  return Password{colon + 1, host - colon - 1};
}

Result<std::unique_ptr<database::Database>> open(const database::Engine& engine, const InitFrom& options) {
  if (const auto query = options.url.find('?'); !engine.file && query != options.url.npos &&
                                                (options.url.find("?password=", query) != options.url.npos ||
                                                 options.url.find("&password=", query) != options.url.npos))
    return fail(config::kConfiguration,
                "the password stands in the query of the URL, from where it would be written into plimsoll.yaml: "
                "write " +
                    std::string(engine.form));
  return open_database(engine, {.url = options.url}, Purpose::look);
}

Result<std::vector<database::CatalogueTable>> catalogue_of(database::Database& database,
                                                           const database::Engine& engine) {
  std::vector<database::CatalogueTable> tables;
  auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto looked = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
      auto read = co_await engine.catalogue(session);
      if (!read) co_return std::unexpected(std::move(read).error());
      tables = std::move(*read);
      co_return Result<>{};
    });
    co_return looked;
  });
  if (!done) return std::unexpected(std::move(done).error());
  return tables;
}

/// Whether no two of the first rows of a view share a value of the column, and each has one. There are rows.
bool is_unique(database::Database& database, const std::string& view, const std::string& column) {
  const auto name = database::quoted(column);
  const auto sql = "SELECT count(*),count(" + name + "),count(DISTINCT " + name + ") FROM (SELECT " + name + " FROM " +
                   database::quoted(view) + " LIMIT " + std::string(kMostRows) + ") looked";
  auto rows = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
    auto read = co_await database.read(loop, sql, {}, false);
    co_return read;
  });
  return rows && !rows->empty() && std::get_if<std::int64_t>(&(*rows)[0][0]) &&
         std::get<std::int64_t>((*rows)[0][0]) > 0 && (*rows)[0][0] == (*rows)[0][1] && (*rows)[0][0] == (*rows)[0][2];
}

/// A folder that goes with it.
class Folder {
 public:
  Folder() {
    std::error_code unknown;
    auto pattern = (fs::temp_directory_path(unknown) / "plimsoll-init-XXXXXX").string();
    if (!unknown && ::mkdtemp(pattern.data())) path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

bool write(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  return !out.fail();
}

/// What `plimsoll check` says of these files.
contract::Complaints check(const fs::path& contract, const fs::path& deployment) {
  server::Settings settings;
  settings.contract = contract.string();
  settings.config = deployment.string();
  settings.quiet = settings.dry_run = true;
  auto made = server::Instance::read(settings, {}, {});
  if (!made) return std::move(made).error();
  return (*made)->prepare();
}

std::string in_quotes(const std::string& text) {
  std::string made = "'";
  for (const char c : text) made += c == '\'' ? std::string(2, c) : std::string(1, c);
  return made + "'";
}

/// `option`: of the section `database`; empty: none.
std::string deployment_for(const std::string& url, std::string_view option) {
  return "# yaml-language-server: $schema=.plimsoll/deployment.schema.json\n"
         "# The configuration of the server. `plimsoll config --explain` lists every option.\n"
         "listen: ['127.0.0.1:8080']\nmanagement: '127.0.0.1:9180'\ndatabase: {url: " +
         in_quotes(url) + (option.empty() ? "" : ", " + std::string(option)) + "}\ntelemetry: {log: info}\n";
}

/// The name of the database, as far as a file can be called by it.
std::string name_of(const InitFrom& options, const std::string& path) {
  std::string name;
  if (path.empty()) {
    auto end = std::min(options.url.find('?'), options.url.size());
    const auto slash = options.url.rfind('/', end);
    if (slash != options.url.npos && slash > options.url.find("://") + 2)
      name = options.url.substr(slash + 1, end - slash - 1);
  } else {
    name = fs::path(path).stem().string();
  }
  for (auto& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') c = '_';
  return name.empty() ? "database" : name;
}

}  // namespace

int write_from_database(const InitFrom& options, WrittenFiles& made) {
  const auto* engine = database::engine_of(options.url);
  constexpr auto kHasCatalogue = [](const database::Engine& each) { return each.catalogue && each.schema_of; };
  if (!engine || !kHasCatalogue(*engine))
    return complain("\"" + database::without_password(options.url) + "\" is no database" +
                        (engine ? " that a contract can be written from" : ""),
                    "--from", "Write " + database::listed_forms({}, "or", kHasCatalogue) + ".");
  const auto path = database::file_of(options.url);
  if (auto found = find_folder(*engine, {.url = options.url}); !found) return complain(found.error());
  std::error_code unknown;
  if (engine->file && !fs::is_regular_file(path, unknown))
    return complain("there is no database at " + path, "--from",
                    "Name a file of " + std::string(engine->name) + " that exists.");
  made.name = name_of(options, path);

  auto opened = open(*engine, options);
  if (!opened) return complain(opened.error());
  auto tables = catalogue_of(**opened, *engine);
  if (!tables) return complain(tables.error());
  const auto views = *tables;
  ExistingContract contract{std::move(*tables),
                            {.title = made.name, .writable = options.writable, .schema_of = engine->schema_of}};
  for (const auto& table : views)
    if (table.view() && table.visible && table.readable)
      for (const auto& column : ExistingContract::key_candidates(table, engine->schema_of))
        if (is_unique(**opened, table.name, column)) {
          contract.set_key(table.name, column);
          break;
        }
  opened->reset();

  // The file is found from wherever the server is started, but for a folder that it is in.
  auto url = options.url;
  if (engine->file && options.folder != ".")
    url = std::string(engine->schemes.front()) + fs::absolute(path, unknown).string();
  if (const auto password = engine->file ? std::nullopt : password_in(url)) {
    made.password = true;
    ::setenv(kPassword, url.substr(password->begin, password->size).c_str(), 1);  // for what is checked below
    url.replace(password->begin, password->size, "${" + std::string(kPassword) + "}");
  }
  const bool guarded = std::ranges::any_of(views, &database::CatalogueTable::guarded);
  made.deployment = deployment_for(url, guarded ? engine->policy_option : "");

  const Folder folder;
  if (folder.path().empty())
    return complain("no folder can be made for temporary files", {}, "Set TMPDIR to a folder that can be written.");
  const auto file = folder.path() / (made.name + ".yaml"), deployment = folder.path() / "plimsoll.yaml";
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    made.contract = contract.text();
    if (!write(file, made.contract) || !write(deployment, made.deployment))
      return complain("nothing can be written to " + folder.path().string(), {},
                      "Set TMPDIR to a folder that can be written.");
    auto complaints = check(file, deployment);
    made.tables = contract.tables_served();
    made.left_out = contract.left_out();
    if (complaints.empty()) return 0;
    bool less = false;
    for (const auto& complaint : complaints) less |= contract.leave_out(complaint);
    if (less) continue;
    for (auto& complaint : complaints) {  // the files that it names are gone with this command
      complaint.file.clear();
      complaint.at = {};
    }
    return complain(complaints);
  }
  return complain("no contract was found that this database can be served by", {},
                  "Write one by hand: `plimsoll init` shows how one looks.");
}

}  // namespace plimsoll::command
