#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/database/catalogue.hpp"
#include "plimsoll/database/database.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::telemetry {
class Log;
class Registry;
}  // namespace plimsoll::telemetry

namespace plimsoll::database {

class SlowStatements;

/// A database as somebody names it.
struct Place {
  std::string url;
  const json::Value* options = nullptr;  ///< the section `database` of the deployment; null: the defaults
};

/// What a database is opened for, and who is told what about it.
struct Opening {
  enum class Purpose : std::uint8_t {
    requests,  ///< of a server, as the options say
    command,   ///< of an operator, with as few threads and connections as can be
    look,      ///< the same, of one who changes nothing: nothing is made, and nothing of what is there is changed
    trial,     ///< what a start would do is tried: it sees all tables, and nothing that it does remains
  };
  Purpose purpose = Purpose::requests;
  bool repeated = false;                   ///< an attempt before this one has failed
  telemetry::Log* log = nullptr;           ///< for what an operator must know; null: none
  SlowStatements* slow = nullptr;          ///< is told of each statement that is; null: nobody
  telemetry::Registry* metrics = nullptr;  ///< for metrics of the engine's own; null: none
};

/// An open database, and what goes after it.
struct OpenDatabase {
  std::shared_ptr<void> rests_on{};  ///< such as the folder of a trial; null: nothing
  std::unique_ptr<Database> database{};
  std::string file{};  ///< that it is in, on this machine; empty: in none
};

/// An empty database of its own, for what is tried out: it goes with this object.
class ScratchDatabase {
 public:
  virtual ~ScratchDatabase() = default;
  virtual const std::string& url() const noexcept = 0;
  /// Removes it, once; its databases are closed. An error says what remains.
  virtual Result<> remove() = 0;
};

/// A table whose rows belong to somebody.
struct GuardedTable {
  std::string name;
  std::string tenant{}, owner{};            ///< columns; empty: none
  std::vector<std::string> except_roles{};  ///< that see the rows of all owners
};

/// All that is known of one kind of database: how its URLs are written, its options, how it is opened, and what can be
/// done with it beyond serving requests. Its SQL is in its Dialect (`Database::dialect`). Each is defined in the files
/// of its engine; engine.cpp lists them, and a program adds its own by `Application::engine`. Everybody else asks by
/// URL, and knows no engine's name.
struct Engine {
  std::string_view name;                      ///< in messages: `SQLite`
  std::span<const std::string_view> schemes;  ///< that its URLs begin with, the usual one first: `sqlite:`
  std::string_view form;                      ///< how a URL is written: `sqlite:PATH`
  /// What stands behind the scheme is the path of a file, which is made where it is missing. Else the URL may hold a
  /// password, and messages leave it out.
  bool file = false;
  /// Its options in the section `database` of the deployment, and their defaults. No two engines share a
  /// name of one. Null: it has none.
  std::span<const config::Field> (*options)() = nullptr;
  const void* (*defaults)() = nullptr;

  /// What is wrong with the URL and the options, before anything is opened: sentences of config::wrong, which
  /// `read_options` gives as well. Null: opening says it.
  std::vector<Error> (*check)(const Place& place) = nullptr;
  /// Blocks. An error that an operator has to correct is not `retryable`, and may bring its own remedy
  /// (`kRemedyFollows`).
  Result<OpenDatabase> (*open)(const Place& place, const Opening& opening) = nullptr;
  /// What of an open database does not fit its options; null: there is nothing to look at. Blocks.
  Result<> (*inspect)(Database& database, const Place& place) = nullptr;
  /// A scratch database: where the engine has files a file of its own, else one on the server that is named. Null:
  /// migrations cannot be written.
  Result<std::unique_ptr<ScratchDatabase>> (*scratch)(const Place& beside) = nullptr;

  /// Its tables, and what the values of a column are in JSON, for `plimsoll init --from`; null: it is refused.
  Task<Result<std::vector<CatalogueTable>>> (*catalogue)(Session& session) = nullptr;
  ColumnSchema (*schema_of)(const CatalogueColumn& column) = nullptr;
  /// Statements by which the database itself keeps the rows of callers apart; null: it cannot.
  std::string (*policy_statements)(const GuardedTable& table) = nullptr;
  /// What the section `database` of the deployment says where they are in force.
  std::string_view policy_option{};
  /// Copies a database while it is used, lists what is damaged, and puts a copy in the place of a database that is not
  /// used, where what was there is kept under the name that is given back (`plimsoll database`); null: its own tools do
  /// that.
  Result<> (*back_up)(const Place& from, const std::string& to) = nullptr;
  Result<std::vector<std::string>> (*verify)(const Place& place) = nullptr;
  Result<std::string> (*restore)(const Place& to, const std::string& from) = nullptr;
};

/// The options of an engine; none where it has none.
std::span<const config::Field> options_of(const Engine& engine);
bool has_option(const Engine& engine, std::string_view name);

/// All engines: those of the server, and those of the program.
std::span<const Engine* const> engines();
/// Adds an engine of the program. An error: another one has its name, a scheme or an option. Before anything is read,
/// by one thread; it lives as long as the process. The same again changes nothing.
Result<> add_engine(const Engine& engine);
/// The engine of a URL; null: there is none.
const Engine* engine_of(std::string_view url);

/// The URL of a database in the working directory, where none is named: `sqlite:shop.db` for `shop`.
std::string default_url(std::string_view name);
/// The path of a database that is a file; empty: it is none.
std::string file_of(std::string_view url);
/// Whether the folder of such a file is not there, and may be on a volume that is mounted later: that of an absolute
/// path. A relative one stands beside the deployment: where it is not there, it is misspelt.
bool may_be_mounted_later(const std::string& file);
/// A database as messages call it: its file, or its URL without the password.
std::string shown(std::string_view url);
/// `sqlite:PATH or postgres://…`: how URLs are written, for remedies. `only`: of those engines for which it is true.
std::string listed_forms(std::string_view quote, std::string_view last, bool (*only)(const Engine&) = nullptr);
/// `sqlite:` and `postgres:`, in the same way, for what is known.
std::string listed_schemes(std::string_view quote, std::string_view last);

/// Reads the options of an engine beside those of others, of which it says nothing.
Result<> read_options(const Place& place, std::span<const config::Field> fields, void* options);

/// The URL without its password, for logs and messages.
std::string without_password(std::string_view url);

}  // namespace plimsoll::database
