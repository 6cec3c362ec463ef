#include "plimsoll/database/sqlite_connection.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/decimal.hpp"
#include "plimsoll/database/instant.hpp"
#include "plimsoll/database/sqlite_disk.hpp"
#include "plimsoll/database/sqlite_gate.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace plimsoll::database {
namespace {

/// Steps between two looks at the budget.
constexpr int kStride = 1'000;
/// Of text that `plimsoll_finds` looks through: about as much work as a step.
constexpr std::int64_t kBytesOfStep = 8;

/// `UNIQUE constraint failed: orders.number, orders.year` names columns; `index 'orders_total'` an index on
/// expressions.
std::vector<FieldError> fields_of(std::string_view message, std::string_view keyword, std::string_view sentence) {
  std::vector<FieldError> fields;
  const auto colon = message.find("failed: ");
  if (colon == message.npos) return fields;
  auto rest = message.substr(colon + 8);
  while (!rest.empty()) {
    const auto comma = rest.find(", ");
    auto name = rest.substr(0, comma);
    rest = comma == rest.npos ? std::string_view{} : rest.substr(comma + 2);
    if (const auto dot = name.find('.'); dot != name.npos) {
      name = name.substr(dot + 1);
    } else if (keyword == "check") {
      // The name of the constraint: ours are `<table>.<column>…`; the expression itself when it has none.
      if (name.empty() || !std::isalpha(static_cast<unsigned char>(name[0]))) return fields;
      if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != name.npos)
        return fields;
    } else {
      return fields;
    }
    name = name.substr(0, name.find(':'));
    fields.push_back({"body", "/" + std::string(name), std::string(keyword), std::string(sentence)});
  }
  return fields;
}

Error violation(const Problem& problem, std::string detail, std::string_view message, std::string_view keyword,
                std::string_view sentence) {
  Error error{declared(problem), std::move(detail)};
  error.more().cause = message;
  error.more().fields = fields_of(message, keyword, sentence);
  return error;
}

Error constraint_error(int code, std::string_view message) {
  switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
      return violation(kConflict, "Another row has this value already.", message, "unique", "is taken already");
    case SQLITE_CONSTRAINT_NOTNULL:
      return violation(kConstraint, "A value is missing.", message, "required", "must not be null");
    case SQLITE_CONSTRAINT_CHECK:
      return violation(kConstraint, "A value breaks a rule of its column.", message, "check", "breaks a rule");
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return violation(kConstraint, "What is referred to does not exist, or is still referred to.", message,
                       "foreign-key", "refers to nothing");
    case SQLITE_CONSTRAINT_DATATYPE: {
      // "cannot store TEXT value in INTEGER column orders.total"
      Error error{&kConstraint, "A value has the wrong type."};
      error.more().cause = message;
      if (const auto dot = message.rfind('.'); dot != message.npos)
        error.more().fields.push_back(
            {"body", "/" + std::string(message.substr(dot + 1)), "type", "has the wrong type for its column"});
      return error;
    }
    default:  // RAISE() of a trigger, and what virtual tables say
      return violation(kConflict, "The database refuses the change.", message, "constraint", "is refused");
  }
}

template <int (*compare)(std::string_view, std::string_view)>
int collation(void*, int a_size, const void* a, int b_size, const void* b) {
  return compare({static_cast<const char*>(a), static_cast<std::size_t>(a_size)},
                 {static_cast<const char*>(b), static_cast<std::size_t>(b_size)});
}

std::string_view pragma_of(SqliteOptions::Synchronous how) {
  switch (how) {
    case SqliteOptions::Synchronous::off: return "OFF";
    case SqliteOptions::Synchronous::normal: return "NORMAL";
    default: return "FULL";
  }
}

/// The text of rows embedded in another, as a JSON array: what the aggregate below gathers.
struct RowsText {
  char* text;
  std::size_t size, room;

  bool add(const char* more, std::size_t length) {
    const auto needed = size + length + 2;
    if (needed > room) {
      auto* grown = static_cast<char*>(std::realloc(text, std::max<std::size_t>(needed * 2, 256)));
      if (!grown) return false;
      text = grown;
      room = std::max<std::size_t>(needed * 2, 256);
    }
    text[size] = size ? ',' : '[';
    std::memcpy(text + size + 1, more, length);
    size += length + 1;
    return true;
  }
};

/// False: the budget is spent, and the statement has been told to end.
bool count_row(sqlite3_context* context, sqlite3_value** values) {
  auto& embedded = *static_cast<EmbeddedRows*>(sqlite3_user_data(context));
  const auto level = static_cast<std::size_t>(std::max(1, sqlite3_value_int(values[0])));
  if (embedded.row(level, sqlite3_value_bytes(values[1]))) return true;
  sqlite3_result_error(context, "more rows than allowed", -1);
  return false;
}

/// `plimsoll_row(level, json)`: the text itself, counted.
void one_row(sqlite3_context* context, int, sqlite3_value** values) {
  if (count_row(context, values)) sqlite3_result_value(context, values[1]);
}

/// `plimsoll_rows(level, json)`: an aggregate, the texts as one JSON array, each counted as it comes.
void add_row(sqlite3_context* context, int, sqlite3_value** values) {
  if (!count_row(context, values)) return;
  auto* rows = static_cast<RowsText*>(sqlite3_aggregate_context(context, sizeof(RowsText)));
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(values[1]));
  if (!rows || !text || !rows->add(text, static_cast<std::size_t>(sqlite3_value_bytes(values[1]))))
    sqlite3_result_error_nomem(context);
}
void all_rows(sqlite3_context* context) {
  auto* rows = static_cast<RowsText*>(sqlite3_aggregate_context(context, 0));
  if (!rows || !rows->text) return sqlite3_result_text(context, "[]", 2, SQLITE_STATIC);
  rows->text[rows->size] = ']';  // `add` has left room for it
  sqlite3_result_text64(context, rows->text, rows->size + 1, std::free, SQLITE_UTF8);
  *rows = {};
}

std::string_view text_of(sqlite3_value* value) {
  const auto* text = static_cast<const char*>(sqlite3_value_blob(value));
  return {text ? text : "", static_cast<std::size_t>(sqlite3_value_bytes(value))};
}
void give(sqlite3_context* context, std::string_view text) {
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

/// `plimsoll_decimal(x)`: a number as a decimal text, anything else as text.
void decimal_text(sqlite3_context* context, int, sqlite3_value** values) {
  switch (sqlite3_value_type(values[0])) {
    case SQLITE_NULL: return;
    case SQLITE_FLOAT:
      if (const auto text = decimal_of(sqlite3_value_double(values[0]))) return give(context, *text);
      break;  // infinite: `Inf` sorts behind all numbers
    case SQLITE_INTEGER: return give(context, std::to_string(sqlite3_value_int64(values[0])));
    default: return give(context, text_of(values[0]));
  }
  give(context, sqlite3_value_double(values[0]) < 0 ? "-Inf" : "Inf");
}

/// `plimsoll_real(x)`: a double as rows have it in JSON: the shortest text that reads back the same; null where it is
/// not finite, or there is none.
void real_text(sqlite3_context* context, int, sqlite3_value** values) {
  const auto value = sqlite3_value_double(values[0]);
  if (sqlite3_value_type(values[0]) == SQLITE_NULL || !std::isfinite(value)) return give(context, "null");
  char text[32];
  give(context, {text, std::to_chars(text, text + sizeof text, value).ptr});
}

/// `plimsoll_instant(x)`: an instant in UTC where SQLite's date functions read one, anything else as text.
void instant_text(sqlite3_context* context, int, sqlite3_value** values) {
  if (sqlite3_value_type(values[0]) == SQLITE_NULL) return;
  if (sqlite3_value_type(values[0]) == SQLITE_TEXT)
    if (const auto utc = stored_instant(text_of(values[0]))) return give(context, *utc);
  if (sqlite3_value_type(values[0]) == SQLITE_BLOB) return give(context, text_of(values[0]));
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(values[0]));
  give(context, text ? std::string_view(text) : std::string_view{});
}

/// `plimsoll_place(x)`: `x`, where it is a blob as a text that `plimsoll_placed` makes that blob again. Rows are read
/// without a difference between texts and blobs, which are apart in every order.
void place(sqlite3_context* context, int, sqlite3_value** values) {
  const auto type = sqlite3_value_type(values[0]);
  if (type != SQLITE_BLOB && type != SQLITE_TEXT) return sqlite3_result_value(context, values[0]);
  const auto text = text_of(values[0]);
  if (type == SQLITE_TEXT && !text.starts_with('\0')) return sqlite3_result_value(context, values[0]);
  std::string made(1, '\0');
  made += type == SQLITE_BLOB ? 'b' : 't';
  give(context, made.append(text));
}
void placed(sqlite3_context* context, int, sqlite3_value** values) {
  const auto text = sqlite3_value_type(values[0]) == SQLITE_TEXT ? text_of(values[0]) : std::string_view{};
  if (!text.starts_with('\0') || text.size() < 2) return sqlite3_result_value(context, values[0]);
  const auto value = text.substr(2);
  if (text[1] != 'b') return give(context, value);
  sqlite3_result_blob64(context, value.data(), value.size(), SQLITE_TRANSIENT);
}

/// `plimsoll_digest(x)`: SHA-256 in hexadecimal, of a text too.
void digest(sqlite3_context* context, int, sqlite3_value** values) {
  if (sqlite3_value_type(values[0]) == SQLITE_NULL) return;
  give(context, to_hex(as_text(sha256(text_of(values[0])))));
}

/// `plimsoll_piece(table, column, rowid, offset, length)`: bytes of a value, read without the rest of it. NULL where
/// there is none. (An expression of SQL would read all of the value first.)
void piece(sqlite3_context* context, int, sqlite3_value** values) {
  auto* db = sqlite3_context_db_handle(context);
  const auto* table = reinterpret_cast<const char*>(sqlite3_value_text(values[0]));
  const auto* column = reinterpret_cast<const char*>(sqlite3_value_text(values[1]));
  sqlite3_blob* blob = nullptr;
  const int opened = sqlite3_blob_open(db, "main", table, column, sqlite3_value_int64(values[2]), 0, &blob);
  if (opened != SQLITE_OK) {
    sqlite3_blob_close(blob);
    if ((opened & 0xff) == SQLITE_ERROR) return;  // NULL, or a number
    return sqlite3_result_error_code(context, opened);
  }
  const std::int64_t size = sqlite3_blob_bytes(blob);
  const auto offset = std::clamp<std::int64_t>(sqlite3_value_int64(values[3]), 0, size);
  const auto length = std::clamp<std::int64_t>(sqlite3_value_int64(values[4]), 0, size - offset);
  auto* bytes = sqlite3_malloc64(static_cast<sqlite3_uint64>(std::max<std::int64_t>(length, 1)));
  const int read =
      bytes ? sqlite3_blob_read(blob, bytes, static_cast<int>(length), static_cast<int>(offset)) : SQLITE_NOMEM;
  sqlite3_blob_close(blob);
  if (read == SQLITE_OK)
    return sqlite3_result_blob64(context, bytes, static_cast<sqlite3_uint64>(length), sqlite3_free);
  sqlite3_free(bytes);
  sqlite3_result_error_code(context, read);
}

int bind(sqlite3_stmt* statement, int index, const Cell& cell) {
  if (auto* text = std::get_if<std::string>(&cell))
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  if (auto* integer = std::get_if<std::int64_t>(&cell)) return sqlite3_bind_int64(statement, index, *integer);
  if (auto* real = std::get_if<double>(&cell)) return sqlite3_bind_double(statement, index, *real);
  return sqlite3_bind_null(statement, index);
}

/// The column is looked up once for all of its value. Where one thread at a time uses a connection
/// (SQLITE_OPEN_NOMUTEX), the values of a row are as good as protected ones (sqlite.org/c3ref/value.html). Returns the
/// bytes of a text.
std::size_t read(Field& field, sqlite3_stmt* statement, int column) {
  auto* value = sqlite3_column_value(statement, column);
  switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER: field.emplace<std::int64_t>(sqlite3_value_int64(value)); return 0;
    case SQLITE_FLOAT: field.emplace<double>(sqlite3_value_double(value)); return 0;
    case SQLITE_NULL: field.emplace<std::monostate>(); return 0;
    default: return field.emplace<std::string_view>(text_of(value)).size();  // a blob is given as the bytes it holds
  }
}

/// A new file is for its owner alone; SQLite gives its `-wal` and `-shm` the same rights. Only a file that is not there
/// is opened here: to close one that a connection of this process uses would end the connection's locks.
void make_private(const std::string& path) {
  const int made = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made >= 0) ::close(made);
}

/// SQLite's message, with what the system said where a call of it has failed; 0: nothing.
std::string with_system_error(std::string_view message, int why) {
  return std::string(message) + (why == 0 ? "" : " (" + std::string(std::strerror(why)) + ")");
}
int system_error(sqlite3* db, int code) {
  const int kind = code & 0xff;
  return db && (kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN) ? sqlite3_system_errno(db) : 0;
}

/// The path is for operators: callers see only that the database is not available. A file that is no database and a
/// folder that does not exist are mistakes of the deployment, which no further attempt corrects.
Error cannot(const std::string& path, std::string_view what, sqlite3* db, int code, std::string_view message) {
  const auto folder = std::filesystem::path(path).parent_path();
  int why = system_error(db, code);
  // Where none can be made SQLite says that there is no such file.
  if (why == ENOENT && ::access(folder.empty() ? "." : folder.c_str(), W_OK) != 0) why = errno;
  auto error = Error{&kUnavailable}.because("sqlite: " + std::string(what) + " `" + path +
                                            "`: " + with_system_error(message, why));
  std::error_code ignored;
  if ((code & 0xff) == SQLITE_NOTADB || (!folder.empty() && !std::filesystem::exists(folder, ignored)))
    error.retryable = false;
  return error;
}

}  // namespace

void add_collations(sqlite3* db) {
  sqlite3_create_collation(db, "decimal", SQLITE_UTF8, nullptr, collation<compare_decimals>);
  sqlite3_create_collation(db, "instant", SQLITE_UTF8, nullptr, collation<compare_instants>);
}

void add_row_functions(sqlite3* db, EmbeddedRows& embedded) {
  constexpr int kPure = SQLITE_UTF8 | SQLITE_INNOCUOUS;
  sqlite3_create_function_v2(db, "plimsoll_row", 2, kPure, &embedded, one_row, nullptr, nullptr, nullptr);
  sqlite3_create_function_v2(db, "plimsoll_rows", 2, kPure, &embedded, nullptr, add_row, all_rows, nullptr);
  constexpr int kConstant = kPure | SQLITE_DETERMINISTIC;
  sqlite3_create_function_v2(db, "plimsoll_decimal", 1, kConstant, nullptr, decimal_text, nullptr, nullptr, nullptr);
  sqlite3_create_function_v2(db, "plimsoll_real", 1, kConstant, nullptr, real_text, nullptr, nullptr, nullptr);
  sqlite3_create_function_v2(db, "plimsoll_instant", 1, kConstant, nullptr, instant_text, nullptr, nullptr, nullptr);
  sqlite3_create_function_v2(db, "plimsoll_place", 1, kConstant, nullptr, place, nullptr, nullptr, nullptr);
  sqlite3_create_function_v2(db, "plimsoll_placed", 1, kConstant, nullptr, placed, nullptr, nullptr, nullptr);
  sqlite3_create_function_v2(db, "plimsoll_digest", 1, kConstant, nullptr, digest, nullptr, nullptr, nullptr);
  // It reads what its statement does not name: nothing in the file may call it.
  sqlite3_create_function_v2(db, "plimsoll_piece", 5, SQLITE_UTF8 | SQLITE_DIRECTONLY, nullptr, piece, nullptr, nullptr,
                             nullptr);
}

std::uint32_t pages_of(config::Size size) {
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(size.bytes / 4096, 1, 1u << 30));
}

Error sqlite_error(int code, std::string_view message) {
  const auto unavailable = [&] { return Error{&kUnavailable}.because("sqlite: " + std::string(message)); };
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT: return constraint_error(code, message);
    case SQLITE_MISMATCH: return Error{&kConstraint, "A value has the wrong type."}.because(std::string(message));
    case SQLITE_TOOBIG: return Error{&kConstraint, "A value is too large."}.because(std::string(message));
    case SQLITE_INTERRUPT: return Error{&kOverBudget};
    case SQLITE_NOMEM: return Error{&kOutOfMemory};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
    case SQLITE_PERM:
    case SQLITE_NOLFS: return unavailable();
    default: return Error{&kInternal}.because("sqlite " + std::to_string(code) + ": " + std::string(message));
  }
}

namespace {

/// As it is, where there is no working directory: SQLite says what is wrong.
std::filesystem::path absolute(const std::string& path) {
  std::error_code unknown;
  const auto found = std::filesystem::absolute(path, unknown);
  return unknown ? std::filesystem::path(path) : found;
}

/// SQLite makes files beside a database to read it as well, but not where it is told that nobody writes; and nobody
/// does on a medium that cannot be written, where there is no log.
bool is_unchanging(const std::string& path) {
  const auto folder = absolute(path).parent_path();
  return ::access(folder.c_str(), W_OK) != 0 && (errno == EROFS || errno == EACCES) &&
         ::access((path + "-wal").c_str(), F_OK) != 0;
}

}  // namespace

std::string sqlite_uri(const std::string& path) {
  std::string made = "file:";
  for (const char c : absolute(path).string())
    if (c == '%' || c == '?' || c == '#') {
      char code[4];
      std::snprintf(code, sizeof code, "%%%02X", static_cast<unsigned>(c));
      made += code;
    } else {
      made += c;
    }
  return made;
}

Result<std::unique_ptr<SqliteConnection>> SqliteConnection::open(const SqliteOptions& options, Role role) {
  // Nobody reads SQLite's statistics, and each of its allocations takes a lock to keep them. Too late, and without
  // effect, where something else of the process has begun to use it.
  static const int quiet = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)quiet;
  static const bool watched = (SqliteDisk::replace_calls(), true);
  (void)watched;
  // Temporary files are made where the database is, which must be writable all the same: of several databases, where
  // the first is. Without such a place SQLite looks for another by itself.
  static const int placed = [&] {
    const auto folder = absolute(options.path).parent_path();
    if (!sqlite3_temp_directory) sqlite3_temp_directory = sqlite3_mprintf("%s", folder.c_str());
    return 0;
  }();
  (void)placed;
  std::unique_ptr<SqliteConnection> made{new SqliteConnection(role)};
  const bool unchanging = role == Role::reader && options.vfs.empty() && is_unchanging(options.path);
  const auto uri = unchanging ? sqlite_uri(options.path) + "?immutable=1" : options.read_as;
  const auto& name = uri.empty() ? options.path : uri;
  const int flags = (uri.empty() ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY | SQLITE_OPEN_URI) |
                    SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | (role == Role::writer ? SQLITE_OPEN_CREATE : 0);
  if (role == Role::writer && options.vfs.empty()) make_private(options.path);
  const int code =
      sqlite3_open_v2(name.c_str(), &made->db_, flags, options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (code != SQLITE_OK)
    return std::unexpected(cannot(options.path, "cannot open", made->db_, code, sqlite3_errstr(code)));
  auto* db = made->db_;
  if (!uri.empty()) made->leave_log();
  made->busy_milliseconds_ = static_cast<int>(options.busy.nanoseconds / kMillisecond);
  sqlite3_busy_timeout(db, made->busy_milliseconds_);
  if (role == Role::writer) sqlite3_set_authorizer(db, authorize, made.get());
  add_collations(db);
  add_row_functions(db, made->embedded_);
  (void)add_word_function(db, made->texts_);
  // Shadow tables stay as FTS5 wrote them, and a double-quoted typo is no text. The schema is trusted: triggers write
  // to FTS5's tables.
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  // Temporary files, of which the first 64 KiB stay in memory: a large journal of savepoints in memory is a linked list
  // that is walked from its beginning each time one of them is released, and a large sort in memory has no bound.
  std::string pragmas = "PRAGMA cache_size=-" + std::to_string(options.cache.bytes >> 10) + ";PRAGMA temp_store=FILE;";
  if (role == Role::writer) {
    pragmas += "PRAGMA journal_mode=WAL;PRAGMA foreign_keys=ON;PRAGMA synchronous=";
    pragmas += pragma_of(options.synchronous);
    pragmas += ";PRAGMA wal_autocheckpoint=0;PRAGMA journal_size_limit=" + std::to_string(options.checkpoint.bytes * 4);
    pragmas += ";";
  } else {
    pragmas += "PRAGMA query_only=ON;";
  }
  pragmas += "SELECT count(*) FROM sqlite_schema;";  // says now what is no database, or cannot be read
  if (sqlite3_exec(db, pragmas.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return std::unexpected(cannot(options.path, "cannot use", db, sqlite3_errcode(db), sqlite3_errmsg(db)));
  sqlite3_progress_handler(db, kStride, &SqliteConnection::progress, made.get());
  if (role == Role::writer) sqlite3_wal_hook(db, &SqliteConnection::committed, made.get());
  if (role == Role::writer && options.vfs.empty()) {
    made->path_ = options.path;
    made->log_path_ = options.path + "-wal";
    made->file_ = Identity::of(made->path_);
    made->log_ = Identity::of(made->log_path_);
    made->index_ = Identity::of(made->path_ + "-shm");
    if (!made->log_.inode) made->log_path_.clear();
    // Another file has come in between: what was noted is not that of what is open.
    if (made->has_moved()) return std::unexpected(moved_error());
    // After a recovery the index speaks of a checkpoint that was never made.
    if (const auto state = made->checkpoints(); state && state->done != state->attempted)
      sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    made->remember();
  }
  return made;
}

SqliteConnection::~SqliteConnection() {
  if (overwritten()) leave_log();
  for (auto& kept : kept_) sqlite3_finalize(kept.statement);
  sqlite3_close_v2(db_);
}

int SqliteConnection::progress(void* self) {
  auto& connection = *static_cast<SqliteConnection*>(self);
  auto& limit = connection.limit_;
  connection.spent_ += kStride;
  const bool ends = (limit.steps && connection.spent_ > limit.steps) ||
                    (limit.stop && limit.stop->load(std::memory_order_relaxed)) ||
                    (limit.until != limit.until.max() && std::chrono::steady_clock::now() >= limit.until);
  connection.interrupted_ |= ends;
  return ends;
}

int SqliteConnection::committed(void* self, sqlite3*, const char*, int frames) {
  static_cast<SqliteConnection*>(self)->log_frames_ = static_cast<std::uint32_t>(std::max(0, frames));
  return SQLITE_OK;
}

SqliteConnection::Restarted SqliteConnection::restart_log(std::chrono::milliseconds patience, bool shorten) {
  limit_ = {};
  int frames = 0, written = 0;
  if (overwritten()) return {.frames = log_frames_};
  sqlite3_busy_timeout(db_, static_cast<int>(patience.count()));
  const int mode = shorten ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART;
  const int code = sqlite3_wal_checkpoint_v2(db_, "main", mode, &frames, &written);
  sqlite3_busy_timeout(db_, busy_milliseconds_);
  if (code == SQLITE_OK) log_frames_ = 0;
  remember();
  const int kind = code & 0xff;
  const bool failed = kind != SQLITE_OK && kind != SQLITE_BUSY && kind != SQLITE_INTERRUPT;
  return {.anew = code == SQLITE_OK, .frames = log_frames_, .failure = failed ? code : 0};
}

void SqliteConnection::add(std::vector<std::string>& tables, std::string_view table) {
  if (std::ranges::find(tables, table) == tables.end()) tables.emplace_back(table);
}

/// Allows everything; it is SQLite's way of telling which tables a statement writes.
int SqliteConnection::authorize(void* self, int action, const char* table, const char*, const char*, const char*) {
  const bool writes = action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE;
  auto& connection = *static_cast<SqliteConnection*>(self);
  if (!writes || !table || std::string_view(table).starts_with("sqlite_")) return SQLITE_OK;
  try {  // SQLite's frames know no exceptions
    add(*connection.compiled_, table);
  } catch (const std::bad_alloc&) {
    connection.out_of_memory_ = true;
    return SQLITE_DENY;
  }
  return SQLITE_OK;
}

namespace {

/// Whether a statement makes a table or an index: what it was compiled into is of no use once it has run.
bool runs_once(std::string_view sql) { return sql.starts_with("CREATE "); }

/// Of the file itself: neither of the index of a search, which is repaired by writing it anew, nor a read that was not
/// to wait.
bool is_damage(int code) {
  switch (code) {
    case SQLITE_CORRUPT_VTAB: return false;
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_SHORT_READ:
    case SQLITE_IOERR_CORRUPTFS: return !SqliteDisk::refused_here();
    default: return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
  }
}

}  // namespace

Result<sqlite3_stmt*> SqliteConnection::prepare(std::string_view sql) {
  SqliteDisk::forget_failed();
  const auto forget = [this](std::list<Kept>::iterator kept) {
    by_sql_.erase(kept->sql);
    sqlite3_finalize(kept->statement);
    kept_.erase(kept);
  };
  if (!kept_.empty() && runs_once(kept_.front().sql)) forget(kept_.begin());
  if (auto found = by_sql_.find(sql); found != by_sql_.end()) {
    kept_.splice(kept_.begin(), kept_, found->second);
    return kept_.front().statement;
  }
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  std::vector<std::string> writes;
  compiled_ = &writes;
  const int code =
      sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, &rest);
  compiled_ = &written_;
  if (std::exchange(out_of_memory_, false)) throw std::bad_alloc{};
  if (code != SQLITE_OK) return std::unexpected(error_now(sql));
  if (!statement) return fail(kInternal, "no statement");
  if (sql.substr(static_cast<std::size_t>(rest - sql.data())).find_first_not_of(" \t\r\n;") != sql.npos) {
    sqlite3_finalize(statement);
    return std::unexpected(Error{&kInternal}.because("more than one statement: " + std::string(sql.substr(0, 500))));
  }
  if (kept_.size() >= kStatements) forget(std::prev(kept_.end()));
  try {
    kept_.push_front({std::string(sql), statement, std::move(writes)});
  } catch (...) {
    sqlite3_finalize(statement);
    throw;
  }
  try {
    by_sql_.emplace(kept_.front().sql, kept_.begin());
  } catch (...) {
    kept_.pop_front();
    sqlite3_finalize(statement);
    throw;
  }
  return statement;
}

void SqliteConnection::report(int code) const {
  if (gate_ && is_damage(code)) gate_->saw_damage("sqlite: " + std::string(sqlite3_errstr(code)));
}

bool SqliteConnection::has_used_up_keys() const {
  bool found = false;
  const auto note = [](void* into, int, char**, char**) { return *static_cast<bool*>(into) = true, 0; };
  sqlite3_exec(db_, "SELECT 1 FROM sqlite_sequence WHERE seq=9223372036854775807", note, &found, nullptr);
  return found;
}

Error SqliteConnection::error_now(std::string_view sql) const {
  if (bounds_values_ && sqlite3_errcode(db_) == SQLITE_TOOBIG) return Error{&kOverBudget};
  int code = sqlite3_extended_errcode(db_);
  auto said = with_system_error(sqlite3_errmsg(db_), system_error(db_, code));
  if (code == SQLITE_FULL && has_used_up_keys())
    return Error{&kConflict, "No further key can be generated: the largest there can be is taken."};
  // What could not be read SQLite may take for damage, or for a catalogue without tables.
  if (SqliteDisk::failed_here() != 0) {
    code = SQLITE_IOERR_READ;
    said = sqlite3_errstr(code);
  }
  report(code);
  auto error = sqlite_error(code, said);
  // In a file that was cut or taken away there is no table.
  if (error.problem == &kInternal && (has_moved() || is_empty())) return moved_error();
  if (error.problem == &kInternal) error.more().cause += " in: " + std::string(sql.substr(0, 500));
  return error;
}

Result<> SqliteConnection::run(std::string_view sql, std::span<const Cell> parameters, RowSink* into, StepLimit limit) {
  try {
    return run_now(sql, parameters, into, limit);
  } catch (const std::bad_alloc&) { return fail(kOutOfMemory); }
}

Result<> SqliteConnection::run_now(std::string_view sql, std::span<const Cell> parameters, RowSink* into,
                                   const StepLimit& limit) {
  if (role_ == Role::reader && idle() && gone()) return std::unexpected(moved_error());
  auto prepared = prepare(sql);
  if (!prepared) return std::unexpected(std::move(prepared).error());
  auto* statement = *prepared;
  for (auto& table : kept_.front().writes) add(written_, table);
  struct Reset {
    sqlite3_stmt* statement;
    bool bound;
    ~Reset() {
      sqlite3_reset(statement);
      if (bound) sqlite3_clear_bindings(statement);
    }
  } reset{statement, !parameters.empty()};
  if (static_cast<int>(parameters.size()) != sqlite3_bind_parameter_count(statement))
    return std::unexpected(Error{&kInternal}.because("parameters do not fit: " + std::string(sql.substr(0, 500))));
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (bind(statement, static_cast<int>(i) + 1, parameters[i]) != SQLITE_OK) return std::unexpected(error_now(sql));
  limit_ = limit;
  spent_ = 0;
  embedded_.begin(limit.budget);
  texts_.left = limit.steps ? limit.steps * kBytesOfStep : INT64_MAX;
  struct Charge {
    const EmbeddedRows& embedded;
    ReadBudget* budget;
    ~Charge() {
      if (budget) budget->rows = std::max<std::int64_t>(0, budget->rows - embedded.rows());
    }
  } charge{embedded_, limit.budget};
  if (into) into->begin();
  std::size_t given = 0;
  const int columns = sqlite3_column_count(statement);
  constexpr int kFew = 64;
  Field few[kFew];
  std::vector<Field> many;
  if (columns > kFew) many.resize(static_cast<std::size_t>(columns));
  auto* fields = columns > kFew ? many.data() : few;
  for (;;) {
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE) return {};
    // It starts over, or nobody waits for it.
    if (const int kind = code & 0xff; kind == SQLITE_INTERRUPT || kind == SQLITE_TOOBIG || kind == SQLITE_IOERR)
      charge.budget = nullptr;
    if (code != SQLITE_ROW)
      return embedded_.too_large() ? std::unexpected(Error{&kResponseTooLarge}) : std::unexpected(error_now(sql));
    if (!embedded_.row()) return fail(kResponseTooLarge);
    if (!into) continue;
    for (int c = 0; c < columns; ++c) given += read(fields[c], statement, c);
    if (limit.bytes && given > limit.bytes) {
      charge.budget = nullptr;
      return fail(kOverBudget);
    }
    if (!into->row({fields, static_cast<std::size_t>(columns)})) return {};
  }
}

Result<bool> SqliteConnection::only_reads(std::string_view sql) {
  auto prepared = prepare(sql);
  if (!prepared) return std::unexpected(std::move(prepared).error());
  return sqlite3_stmt_readonly(*prepared) != 0;
}

Result<> SqliteConnection::script(std::string_view sql, StepLimit limit) try {
  limit_ = limit;
  spent_ = 0;
  const std::string text(sql);
  const bool inside = !idle();
  const auto failed = [&](const char* statement, int offset) {
    std::string_view before(text.c_str(), static_cast<std::size_t>(statement - text.c_str()));
    const auto blank = text.find_first_not_of(" \t\r\n", before.size());
    before = std::string_view(text).substr(0, offset < 0 ? blank : before.size() + static_cast<std::size_t>(offset));
    report(sqlite3_extended_errcode(db_));
    auto error = sqlite_error(sqlite3_extended_errcode(db_), sqlite3_errmsg(db_));
    error.more().cause = "line " + std::to_string(1 + std::ranges::count(before, '\n')) + ": " + sqlite3_errmsg(db_);
    return std::unexpected(std::move(error));
  };
  for (const char* at = text.c_str(); *at;) {
    sqlite3_stmt* statement = nullptr;
    const char* begin = at;
    if (sqlite3_prepare_v2(db_, begin, -1, &statement, &at) != SQLITE_OK)
      return failed(begin, sqlite3_error_offset(db_));
    if (!statement) continue;  // blanks or a comment
    int code = SQLITE_ROW;
    while (code == SQLITE_ROW) code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE) return failed(begin, -1);
    if (inside && idle()) return std::unexpected(Error{&kInternal}.because("a script ended its transaction"));
  }
  return {};
} catch (const std::bad_alloc&) { return fail(kOutOfMemory); }

void SqliteConnection::longest_value(std::size_t bytes) {
  sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, static_cast<int>(bytes));
  bounds_values_ = true;
}

bool SqliteConnection::idle() const { return sqlite3_get_autocommit(db_) != 0; }

bool SqliteConnection::gone() {
  using namespace std::chrono_literals;
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ < 500ms) return gone_;
  looked_ = now;
  return gone_ = has_moved();
}

SqliteConnection::Identity SqliteConnection::Identity::of(const std::string& path) {
  struct stat is{};
  return ::stat(path.c_str(), &is) == 0 ? of(is) : Identity{};
}
SqliteConnection::Identity SqliteConnection::Identity::of(const struct stat& is) {
  return {.device = is.st_dev, .inode = is.st_ino};
}

Result<std::vector<std::string>> SqliteConnection::tables() {
  RowKeeper keeper;
  auto read = run(
      "SELECT name FROM pragma_table_list WHERE schema='main' AND type='table' AND name NOT LIKE 'sqlite\\_%' ESCAPE "
      "'\\'",
      {}, &keeper);
  if (!read) return std::unexpected(std::move(read).error());
  std::vector<std::string> names;
  for (auto& row : keeper.rows) names.push_back(std::get<std::string>(row[0]));
  return names;
}

Result<std::int64_t> SqliteConnection::write_back(bool patient) {
  if (overwritten()) {
    const auto* index = wal_index();
    return index ? static_cast<std::uint32_t>(index[2]) : log_frames_;  // `mxFrame`
  }
  std::error_code ignored;
  // The same file with another log: somebody has deleted ours. Where another program writes into that file meanwhile,
  // nothing can be put together again.
  if (Identity::of(path_) == file_ && !has_its_log() && std::filesystem::exists(log_path_, ignored) &&
      std::filesystem::file_size(log_path_, ignored) > 0)
    return std::unexpected(
        Error{&kUnavailable}.because("sqlite: another program writes the database with a log of its own"));
  limit_ = {};
  int frames = -1, written = 0;
  sqlite3_busy_timeout(db_, patient ? 1'000 : 0);  // for readers of other processes
  const int mode = patient ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
  const int code = sqlite3_wal_checkpoint_v2(db_, "main", mode, &frames, &written);
  sqlite3_busy_timeout(db_, busy_milliseconds_);
  remember();
  if (frames < 0) return code == SQLITE_OK ? 0 : std::int64_t{log_frames_};
  return frames - written;
}

Result<SqliteConnection::LeftLog> SqliteConnection::leave() {
  const auto frames = write_back(true);
  if (!frames) return std::unexpected(frames.error());
  LeftLog left{.frames = *frames};
  std::error_code ignored;
  if (has_its_log()) {
    if (left.frames > 0) {
      left.kept = log_path_ + "-of-replaced";
      for (int n = 2; std::filesystem::exists(left.kept, ignored); ++n)
        left.kept = log_path_ + "-of-replaced-" + std::to_string(n);
      if (::rename(log_path_.c_str(), left.kept.c_str()) != 0)
        return std::unexpected(
            Error{&kUnavailable}.because("sqlite: cannot rename `" + log_path_ + "`: " + std::strerror(errno)));
    } else if (::unlink(log_path_.c_str()) != 0) {
      return std::unexpected(
          Error{&kUnavailable}.because("sqlite: cannot remove `" + log_path_ + "`: " + std::strerror(errno)));
    }
  }
  if (const auto index = path_ + "-shm"; index_.inode && Identity::of(index) == index_) ::unlink(index.c_str());
  return left;
}

std::int64_t SqliteConnection::changes() const noexcept { return sqlite3_total_changes64(db_); }
std::int64_t SqliteConnection::changed() const noexcept { return sqlite3_changes64(db_); }

bool SqliteConnection::has_moved() const {
  int moved = 0;
  return sqlite3_file_control(db_, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved != 0;
}

bool SqliteConnection::is_empty() const {
  const auto* path = sqlite3_db_filename(db_, "main");
  struct stat is{};
  return path && *path && ::stat(path, &is) == 0 && is.st_size == 0;
}

namespace {

/// Why `stat` has failed.
std::string_view why_unseen() { return errno == ENOENT || errno == ENOTDIR ? kMoved : kUnseen; }

}  // namespace

std::string_view SqliteConnection::lost() {
  // Another program that opens an empty file under our name deletes the log, while SQLite here goes on writing to it.
  struct stat log{};
  if (!log_path_.empty() && ::stat(log_path_.c_str(), &log) != 0) return why_unseen();
  if (!log_path_.empty() && Identity::of(log) != log_) return kMoved;
  if (path_.empty()) return has_moved() ? kMoved : std::string_view{};
  const auto state = checkpoints();
  struct stat is{};
  if (::stat(path_.c_str(), &is) != 0) return why_unseen();
  if (Identity::of(is) != file_) return kMoved;
  const bool cut = log.st_size < log_size() && log_is_cut();  // asked again where what was seen may be older
  if (overwritten_ || written_of(is) != known_ || cut) return overwritten() ? kOverwritten : std::string_view{};
  if (state) checkpoints_ = *state;  // of a log that was begun anew, say
  return {};
}

std::uint64_t* SqliteConnection::wal_index() {
  if (mapped_ || sqlite3_db_readonly(db_, "main") != 0) return mapped_;  // mapping it would make it
  constexpr int kRegion = 32 * 1024;                                     // bytes in which it is mapped
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(db_, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || !file || !file->pMethods)
    return nullptr;
  void volatile* region = nullptr;
  if (file->pMethods->iVersion < 2 || file->pMethods->xShmMap(file, 0, kRegion, 0, &region) != SQLITE_OK)
    return nullptr;
  return mapped_ = static_cast<std::uint64_t*>(const_cast<void*>(region));
}

std::optional<SqliteConnection::Checkpoints> SqliteConnection::checkpoints() {
  constexpr std::size_t kSalts = 32, kDone = 96, kAttempted = 128;  // bytes into the index
  auto* const index = wal_index();
  if (!index) return std::nullopt;
  auto* const half = reinterpret_cast<std::uint32_t*>(index);
  return Checkpoints{
      .salts = std::atomic_ref(index[kSalts / sizeof *index]).load(std::memory_order_acquire),
      .done = std::atomic_ref(half[kDone / sizeof *half]).load(std::memory_order_acquire),
      .attempted = std::atomic_ref(half[kAttempted / sizeof *half]).load(std::memory_order_acquire),
  };
}

SqliteConnection::Written SqliteConnection::written_of(const struct stat& is) {
  return {.size = is.st_size, .time = is.st_mtim.tv_sec * kSecond + is.st_mtim.tv_nsec};
}
SqliteConnection::Written SqliteConnection::written_to(const std::string& path) {
  struct stat is{};
  return ::stat(path.c_str(), &is) == 0 ? written_of(is) : Written{};
}

/// Read by SQLite's own descriptor: to close another one would end the locks of this process.
SqliteConnection::Beginning SqliteConnection::beginning() const {
  Beginning bytes{};
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(db_, "main", SQLITE_FCNTL_FILE_POINTER, &file) == SQLITE_OK && file && file->pMethods)
    (void)file->pMethods->xRead(file, bytes.data(), static_cast<int>(bytes.size()), 0);
  return bytes;
}

void SqliteConnection::remember() {
  if (path_.empty()) return;
  checkpoints_ = checkpoints().value_or(Checkpoints{});
  known_ = has_moved() ? Written{} : written_to(path_);
  beginning_ = beginning();
}

std::int64_t SqliteConnection::log_size() {
  constexpr std::uint64_t kHeader = 32, kFrameHeader = 24;
  auto* const index = wal_index();
  if (!index) return 0;
  const auto page = std::atomic_ref(index[1]).load(std::memory_order_acquire) >> 48;
  const auto frames = std::atomic_ref(index[2]).load(std::memory_order_acquire) & UINT32_MAX;
  const auto bytes = frames == 0 ? 0 : kHeader + frames * (kFrameHeader + (page & 0xfe00) + ((page & 1) << 16));
  return static_cast<std::int64_t>(bytes);
}

bool SqliteConnection::log_is_cut() {
  if (log_path_.empty()) return false;
  const auto before = log_size();
  struct stat is{};
  // A log that SQLite cuts is said to be empty before.
  return ::stat(log_path_.c_str(), &is) == 0 && is.st_size < before && log_size() == before;
}

bool SqliteConnection::overwritten() {
  overwritten_ = overwritten_ || (!path_.empty() && log_is_cut());
  if (overwritten_ || path_.empty() || written_to(path_) == known_ || has_moved()) return overwritten_;
  const auto before = checkpoints();
  const auto now = written_to(path_);
  if (!before || before != checkpoints() || before->done != before->attempted) return false;  // one is under way
  if (*before != checkpoints_ || known_ == Written{})
    remember();  // another process has written the log back, or the file was elsewhere
  else
    overwritten_ = now != known_;
  return overwritten_;
}

bool SqliteConnection::begins_as_before() { return written_to(path_).size == known_.size && beginning() == beginning_; }

void SqliteConnection::leave_log() { sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr); }

}  // namespace plimsoll::database
