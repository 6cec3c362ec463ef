#include "plimsoll/database/sqlite.hpp"

#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/slow_statements.hpp"
#include "plimsoll/database/sqlite_dialect.hpp"
#include "plimsoll/database/sqlite_files.hpp"
#include "plimsoll/database/sqlite_gate.hpp"
#include "plimsoll/database/sqlite_readers.hpp"
#include "plimsoll/database/sqlite_writer.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <map>

namespace plimsoll::config {
template <>
struct Words<database::SqliteOptions::Synchronous> {
  static constexpr std::string_view words[] = {"off", "normal", "full"};
};
}  // namespace plimsoll::config

namespace plimsoll::database {
namespace {

using config::field;

constexpr config::Field kFields[] = {
    field<&SqliteOptions::synchronous>(
        "synchronous",
        "`full`: an acknowledged write survives a power failure. `normal`: only a crash of the process."),
    field<&SqliteOptions::readers>("readers",
                                   "Threads for reads that are not known to be short. One caller has at most half of "
                                   "them, and searches and counts "
                                   "leave one free.",
                                   {1, 64}),
    field<&SqliteOptions::queue>("queue",
                                 "The most reads, and the most writes, that wait for a thread; beyond it the response "
                                 "is 503 `database-busy`.",
                                 {1, 1'000'000}),
    field<&SqliteOptions::cache>("cache", "Memory for pages, per connection.", {64 << 10, std::int64_t{64} << 30}),
    field<&SqliteOptions::checkpoint>(
        "checkpoint",
        "Size of the log at which it is written back into the file. If readers prevent that, new reads of reader "
        "threads wait at 3 times that size, and running ones are cancelled at 5 times.",
        {64 << 10, std::int64_t{64} << 30}),
    field<&SqliteOptions::busy>("busy", "How long to wait for another process that writes.", {0, 3600 * kSecond}),
    field<&SqliteOptions::writer>("writer",
                                  "How long the statements of one exchange may take on the only writer; then they are "
                                  "interrupted and rolled back, and the response is 503 `write-too-long`.",
                                  {kMillisecond, 3600 * kSecond}),
    field<&SqliteOptions::transaction>("transaction",
                                       "How long a transaction of a handler may stay open, waits of the handler "
                                       "included.",
                                       {kMillisecond, 3600 * kSecond}),
    field<&SqliteOptions::inline_steps>(
        "inline-steps",
        "Steps that a short read may take on the I/O thread before it is moved to a reader thread; 0: none.",
        {0, 1'000'000'000}),
    field<&SqliteOptions::group>("group", "The most pieces of work in one commit.", {1, 100'000}),
    field<&SqliteOptions::gather>("gather",
                                  "The longest time that a commit waits for other concurrent writes, and never longer "
                                  "than a commit takes; 0: it does not wait.",
                                  {0, kSecond}),
};

class Sqlite final : public Database {
 public:
  Sqlite(std::unique_ptr<SqliteConnection> connection, const SqliteOptions& options)
      : options_(options),
        slow_(options.slow),
        readers_(options, gate_),
        writer_(reporting(std::move(connection)), options, versions(), &readers_, gate_) {}
  ~Sqlite() override {
    if (slow_) slow_->stop();
    // Who closes last would write the log into what another program has put in the place of the database.
    const auto look = [this](std::unique_ptr<SqliteConnection>& writer) {
      if (writer && writer->lost() == kOverwritten) readers_.leave_log();
    };
    writer_.between_groups(look);
  }

  const Dialect& dialect() const noexcept override { return sqlite_dialect(); }
  Result<> start() {
    auto started = readers_.start();
    if (started && slow_) slow_->start(*this);
    return started;
  }
  PLIMSOLL_FORWARDS Task<Result<>> write(Loop& loop, Work work, Hold hold) override {
    return writer_.write(loop, work, hold);
  }
  PLIMSOLL_FORWARDS Task<Result<std::unique_ptr<Transaction>>> begin(Loop& loop) override {
    return writer_.begin(loop);
  }
  PLIMSOLL_FORWARDS Task<Result<>> write_for(const Reading& who, Loop& loop, Work work, Hold hold) override {
    return writer_.write(loop, work, hold, who.operation);
  }
  PLIMSOLL_FORWARDS Task<Result<std::unique_ptr<Transaction>>> begin_for(const Reading& who, Loop& loop) override {
    return writer_.begin(loop, who.operation);
  }
  PLIMSOLL_FORWARDS Task<Result<>> read(Loop& loop, std::string_view sql, std::span<const Cell> parameters,
                                        const Reading& reading, RowSink& into) override {
    return readers_.read(loop, sql, parameters, reading, into);
  }
  Result<bool> only_reads(std::string_view sql) override { return readers_.only_reads(sql); }
  Task<Result<std::string>> plan_of(Loop& loop, std::string_view sql, std::size_t parameters) override {
    const std::vector<Cell> none(parameters);
    const auto asks = "EXPLAIN QUERY PLAN " + std::string(sql);
    auto steps = co_await Database::read(loop, asks, none, true);
    if (!steps) co_return std::unexpected(std::move(steps).error());
    std::string plan;
    std::map<std::int64_t, std::size_t> depths;
    for (const auto& step : *steps) {  // id, its parent, unused, what it does
      const auto parent = depths.find(number_at(step, 1));
      const auto depth = parent == depths.end() ? 0 : parent->second + 1;
      depths[number_at(step, 0)] = depth;
      if (!plan.empty()) plan += '\n';
      plan.append(2 * depth, ' ').append(text_at(step, 3));
    }
    co_return plan;
  }
  void interrupt() noexcept override { writer_.interrupt(); }
  bool lost() const noexcept override { return gate_.lost(); }
  Result<> reopen() override {
    if (auto sound = sound_again(); !sound) return sound;
    gate_.close();
    Result<> done;
    const auto work = [&](std::unique_ptr<SqliteConnection>& writer) {
      try {
        done = open_again(writer);
      } catch (const std::bad_alloc&) { done = fail(kOutOfMemory); }  // the writer has nobody to throw to
    };
    writer_.between_groups(work);
    return done;
  }
  void admit() override {
    tables_.clear();
    gate_.admit();
  }
  void refuse(std::string reason) override { gate_.refuse(std::move(reason)); }
  Counts counts() const override {
    Counts counts;
    writer_.count(counts);
    readers_.count(counts);
    return counts;
  }
  LogState log_state() const noexcept override { return writer_.log_state(); }
  std::string trouble() const override {
    if (auto damage = gate_.damage(); !damage.empty())
      return damage + " (`plimsoll database verify` says what is damaged)";
    if (auto trouble = writer_.log_trouble(); !trouble.empty()) return trouble;
    const auto wait = readers_.disk().longest_wait();
    if (wait <= SqliteReaders::kHanging) return {};
    return "a read has waited for the disk for " + std::to_string(wait / kSecond) + " s";
  }
  Load load() const noexcept override {
    Load load;
    readers_.load(load);
    writer_.load(load);
    return load;
  }

 private:
  std::unique_ptr<SqliteConnection> reporting(std::unique_ptr<SqliteConnection> connection) {
    connection->report_to(gate_);
    return connection;
  }
  /// An error where the file is damaged that is in use: it stays in use, for what can be read of it.
  Result<> sound_again() {
    if (gate_.damage().empty()) return {};
    bool in_use = false;  // to another file the log that is there would be applied
    const auto look = [&](std::unique_ptr<SqliteConnection>& writer) { in_use = writer && writer->lost().empty(); };
    writer_.between_groups(look);
    return in_use ? is_sound(options_) : Result<>{};
  }
  /// On the writer's thread.
  Result<> open_again(std::unique_ptr<SqliteConnection>& writer) {
    const auto why = writer ? writer->lost() : kMoved;
    if (why.empty()) return gate_.damage().empty() ? Result<>{} : exchange_files(writer, true);
    if (tables_.empty() && writer) {
      auto tables = writer->tables();  // of the file that was moved
      if (!tables) return std::unexpected(std::move(tables).error());
      tables_ = std::move(*tables);
    }
    if (why == kOverwritten) return open_overwritten(writer);
    if (writer) (void)writer->write_back(false);  // who copies the file that was moved has all of it
    if (auto fits = has_tables(options_.path, tables_, writer && writer->has_its_log()); !fits) return fits;
    return exchange_files(writer, false);
  }
  /// Another program has written into the file: where it has changed its times alone, all is as before. Else what is
  /// there counts as another file, and what the log holds is of none.
  Result<> open_overwritten(std::unique_ptr<SqliteConnection>& writer) {
    if (!writer->log_is_cut() && writer->begins_as_before() && is_sound(options_)) {
      auto done = exchange_files(writer, true);
      if (done && options_.log)
        options_.log->write(telemetry::Level::warning, "database-touched", [](telemetry::Line& line) {
          line.add("effect",
                   "the times of the database file were changed, not its size and beginning: it is sound, and served "
                   "with its log as before; a copy that was written over it may have no effect (`plimsoll database "
                   "restore` puts one in its place)");
        });
      return done;
    }
    if (auto fits = has_tables(options_.path, tables_, true); !fits) return fits;
    if (auto sound = is_sound_alone(options_.path); !sound) return sound;
    return exchange_files(writer, false);
  }
  /// `same`: the log belongs to what is opened.
  Result<> exchange_files(std::unique_ptr<SqliteConnection>& writer, bool same) {
    readers_.close();
    SqliteConnection::LeftLog left;
    if (writer) {
      if (!same) {
        auto done = writer->leave();
        if (!done) return std::unexpected(std::move(done).error());
        left = std::move(*done);
      }
      writer.reset();  // before another one: it may have come back under its name
    }
    auto opened = SqliteConnection::open(options_, SqliteConnection::Role::writer);
    if (!opened) return std::unexpected(std::move(opened).error());
    writer = reporting(std::move(*opened));
    writer_.forget_log_trouble();
    readers_.take_file();
    versions().wrote_all();
    if (!same) tell(left);
    return {};
  }
  void tell(const SqliteConnection::LeftLog& left) const {
    if (!options_.log) return;
    options_.log->write(telemetry::Level::warning, "database-replaced", [&](telemetry::Line& line) {
      line.add("log_frames_dropped", left.frames);
      if (!left.kept.empty()) line.add("kept", left.kept);
      line.add("effect",
               "the file at the path of the database is another one than before: what was written to the earlier file "
               "and is not in this one is not served");
    });
  }

  const SqliteOptions options_;
  SqliteGate gate_;
  std::vector<std::string> tables_;  ///< of the file that was good last, while another is looked at
  SlowStatements* const slow_;
  SqliteReaders readers_;
  SqliteWriter writer_;
};

}  // namespace

constinit const std::span<const config::Field> kSqliteFields = kFields;

Result<std::unique_ptr<Database>> open_sqlite(const SqliteOptions& options) {
  if (options.path.empty() || options.path == ":memory:")
    return fail(kUnavailable, "a database in memory has no readers beside its writer; name a file");
  const auto role = options.read_as.empty() ? SqliteConnection::Role::writer : SqliteConnection::Role::reader;
  auto connection = SqliteConnection::open(options, role);
  if (!connection) return std::unexpected(std::move(connection).error());
  auto made = std::make_unique<Sqlite>(std::move(*connection), options);
  if (auto started = made->start(); !started) return std::unexpected(std::move(started).error());
  return std::unique_ptr<Database>(std::move(made));
}

}  // namespace plimsoll::database
