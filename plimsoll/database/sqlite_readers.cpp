#include "plimsoll/database/sqlite_readers.hpp"

#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/slow_statements.hpp"

#include <algorithm>

namespace plimsoll::database {
namespace {

std::atomic<std::uint64_t> next_id{1};

/// Connections of this thread by database; ids are never used again, so what is left of closed databases is never
/// found.
struct Own {
  std::uint64_t database;
  SqliteTurnReader* reader;
};
thread_local std::vector<Own> owned;

}  // namespace

struct SqliteReaders::Query final : Ask, FairQueue::Entry {
  Query(SqliteReaders& readers, Loop& loop, std::string_view sql, std::span<const Cell> parameters,
        const Reading& reading, RowSink& into, std::uint64_t file)
      : Ask(loop),
        readers(readers),
        file(file),
        sql(sql),
        parameters(parameters),
        budget(reading.budget),
        steps(reading.steps),
        into(into) {
    order = reading.order;
    caller = caller_of(reading);
    operation = reading.operation;
  }
  void hand_over() override {
    Query* refused;
    {
      std::lock_guard lock(readers.mutex_);
      refused = static_cast<Query*>(readers.queries_.push(*this));
      readers.waiting_.store(static_cast<std::int64_t>(readers.queries_.size()), std::memory_order_relaxed);
    }
    if (refused != this) readers.ready_.notify_one();
    if (refused) refused->refuse();  // perhaps this one, which is then gone
  }
  bool withdraw(Stop why) noexcept override;
  void refuse() {
    readers.refused_.fetch_add(1, std::memory_order_relaxed);
    result = std::unexpected(busy());
    answer();
  }

  SqliteReaders& readers;
  std::uint64_t file;
  std::string_view sql;
  std::span<const Cell> parameters;
  std::string_view operation{};
  ReadBudget* budget;
  std::int64_t steps;
  RowSink& into;
  Worker* worker = nullptr;  ///< that has taken it
};

/// A reader thread: its connection, and the read that it makes. It works on copies of what it was given, and gives rows
/// to whoever asked only while that waits.
struct SqliteReaders::Worker final : RowSink {
  explicit Worker(std::size_t number) : number(number) {}

  void take(Query& one) {
    const std::scoped_lock lock(mutex);
    query = &one;
    one.worker = this;
    file = one.file;
    steps = one.steps;
    stop_now.store(false, std::memory_order_relaxed);
    ended_for_the_log = false;
  }
  /// False: nobody waits any longer.
  bool copy() {
    const std::scoped_lock lock(mutex);
    if (!query) return false;
    sql = query->sql;
    parameters.assign(query->parameters.begin(), query->parameters.end());
    operation = query->operation;
    budget = query->budget ? *query->budget : ReadBudget{};
    return true;
  }
  void begin() override {
    const std::scoped_lock lock(mutex);
    if (query) query->into.begin();
  }
  bool row(std::span<const Field> fields) override {
    const std::scoped_lock lock(mutex);
    return query && query->into.row(fields);
  }
  void end_for_the_log() {
    const std::scoped_lock lock(mutex);
    ended_for_the_log = query != nullptr;
    stop_now.store(true, std::memory_order_relaxed);
  }
  /// Who asked does not wait any longer. False: what it asked for was done.
  bool leave(const Query& one) noexcept {
    const std::scoped_lock lock(mutex);
    if (query != &one) return false;
    query = nullptr;
    stop_now.store(true, std::memory_order_relaxed);
    return true;
  }
  /// Whom to answer; null: nobody.
  Query* done(Result<> result) {
    const std::scoped_lock lock(mutex);
    if (!query) return nullptr;
    if (ended_for_the_log && !result) result = fail(kBusy);
    query->result = std::move(result);
    if (query->budget) *query->budget = budget;
    return std::exchange(query, nullptr);
  }

  const std::size_t number;
  std::unique_ptr<SqliteConnection> connection;
  std::mutex mutex;  ///< of `query`, between the two threads
  Query* query = nullptr;
  bool ended_for_the_log = false;
  std::atomic<bool> stop_now{false};
  std::uint64_t file = 0;
  std::int64_t steps = 0;
  std::string sql, operation;
  std::vector<Cell> parameters;
  ReadBudget budget;
};

bool SqliteReaders::Query::withdraw(Stop why) noexcept {
  std::lock_guard lock(readers.mutex_);
  const bool waited = readers.queries_.remove(*this);
  readers.waiting_.store(static_cast<std::int64_t>(readers.queries_.size()), std::memory_order_relaxed);
  const bool left = waited || (worker && worker->leave(*this));
  if (left) result = std::unexpected(error_of(why));
  return left;
}

SqliteReaders::SqliteReaders(const SqliteOptions& options, SqliteGate& gate)
    : options_(options),
      gate_(gate),
      id_(next_id++),
      queries_(static_cast<std::size_t>(std::max<std::int64_t>(1, options.readers)),
               static_cast<std::size_t>(std::max<std::int64_t>(1, options.queue))),
      disk_(static_cast<std::size_t>(std::max<std::int64_t>(1, options.readers))) {}

bool SqliteReaders::same_file() {
  if (!options_.vfs.empty()) return true;
  const auto there = SqliteConnection::Identity::of(options_.path);
  const std::scoped_lock lock(mutex_);
  return there.inode != 0 && there == file_;
}

void SqliteReaders::take_file() {
  const auto there = SqliteConnection::Identity::of(options_.path);
  const std::scoped_lock lock(mutex_);
  if (there.inode != 0) file_ = there;
}

Result<std::unique_ptr<SqliteConnection>> SqliteReaders::open() {
  if (!same_file()) return std::unexpected(moved_error());
  auto opened = SqliteConnection::open(options_, SqliteConnection::Role::reader);
  if (opened) (*opened)->report_to(gate_);
  return opened;
}

Result<> SqliteReaders::start() {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(1, options_.readers));
  take_file();
  for (std::size_t i = 0; i < count; ++i) workers_.push_back(std::make_unique<Worker>(i));
  for (auto& worker : workers_) {
    auto opened = open();
    if (!opened) return std::unexpected(std::move(opened).error());
    worker->connection = std::move(*opened);
    threads_.emplace_back([this, &worker = *worker] { serve(worker); });
  }
  return {};
}

SqliteReaders::~SqliteReaders() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  ready_.notify_all();
  for (auto& thread : threads_) thread.join();
  if (leaves_log_) close();
}

void SqliteReaders::serve(Worker& worker) {
  for (std::unique_lock lock(mutex_);;) {
    Query* query = nullptr;
    ready_.wait(lock, [&] {
      query = held_back_ && !closing_ ? nullptr : static_cast<Query*>(queries_.take());
      return query || closing_;
    });
    if (!query) return;
    running_.fetch_add(1, std::memory_order_relaxed);
    waiting_.store(static_cast<std::int64_t>(queries_.size()), std::memory_order_relaxed);
    const auto order = query->order;
    const auto caller = query->caller;
    worker.take(*query);
    lock.unlock();
    Result<> result;
    try {
      result = execute(worker);
    } catch (const std::bad_alloc&) { result = fail(kOutOfMemory); }
    lock.lock();
    queries_.ended(order, caller);  // before anybody is answered: what it asks next is not held against it
    if (running_.fetch_sub(1, std::memory_order_relaxed) == 1) idle_.notify_all();
    query = worker.done(std::move(result));
    lock.unlock();
    if (query) query->answer();  // gone from here on
    lock.lock();
  }
}

Result<> SqliteReaders::execute(Worker& worker) {
  if (!gate_.is_current(worker.file)) return std::unexpected(moved_error());
  if (!worker.copy()) return {};
  const SqliteDisk::Access access(disk_, worker.number);
  if (!worker.connection) {
    auto opened = open();
    if (!opened) return std::unexpected(std::move(opened).error());
    worker.connection = std::move(*opened);
  }
  const auto begun = options_.slow ? system_clock().steady() : 0;
  auto done = worker.connection->run(worker.sql, worker.parameters, &worker,
                                     {.steps = worker.steps, .stop = &worker.stop_now, .budget = &worker.budget});
  if (options_.slow)
    if (const auto took = system_clock().steady() - begun; options_.slow->is_slow(took)) [[unlikely]]
      options_.slow->add({.sql = worker.sql,
                          .parameters = worker.parameters,
                          .operation = worker.operation,
                          .took = took,
                          .rows = worker.connection->rows(),
                          .error = done ? nullptr : &done.error()});
  return done;
}

void SqliteReaders::close() {
  end_running();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return running_.load(std::memory_order_relaxed) == 0; });
  for (auto& worker : workers_) {
    if (leaves_log_ && worker->connection) worker->connection->leave_log();
    worker->connection.reset();
  }
  for (auto& reader : turn_readers_) reader->close(leaves_log_);
}

Result<SqliteTurnReader*> SqliteReaders::own(std::uint64_t file) {
  auto found = std::ranges::find(owned, id_, &Own::database);
  if (found != owned.end() && found->reader->file() == file) return found->reader;
  auto opened = open();
  if (!opened) return std::unexpected(std::move(opened).error());
  if (found != owned.end()) {
    found->reader->use(std::move(*opened), file);
    return found->reader;
  }
  auto made = std::make_shared<SqliteTurnReader>(pages_of(options_.checkpoint));
  made->use(std::move(*opened), file);
  auto* reader = made.get();
  owned.push_back({id_, reader});
  try {
    const std::scoped_lock lock(mutex_);
    turn_readers_.push_back(std::move(made));
  } catch (...) {
    owned.pop_back();
    throw;
  }
  return reader;
}

std::optional<Result<>> SqliteReaders::read_inline(Loop& loop, std::string_view sql, std::span<const Cell> parameters,
                                                   const Reading& reading, RowSink& into, std::uint64_t file) {
  const SqliteDisk::Access access(disk_);
  auto reader = own(file);
  if (!reader && !access.refused()) return std::unexpected(std::move(reader).error());
  if (reader) {
    const bool bounded = reading.steps > 0 && reading.steps <= options_.inline_steps;
    auto done = (*reader)->read(loop, sql, parameters, into,
                                {.steps = bounded ? reading.steps : options_.inline_steps,
                                 .budget = reading.budget,
                                 .bytes = SqliteTurnReader::kMostText});
    if (done || (!access.refused() && (bounded || done.error().problem != &kOverBudget))) {
      inline_.fetch_add(1, std::memory_order_relaxed);
      if ((*reader)->sharing()) shared_.fetch_add(1, std::memory_order_relaxed);
      return done;
    }
  }
  moved_.fetch_add(1, std::memory_order_relaxed);
  return std::nullopt;
}

Task<Result<>> SqliteReaders::read(Loop& loop, std::string_view sql, std::span<const Cell> parameters,
                                   const Reading& reading, RowSink& into) {
  const auto file = gate_.pass();
  if (!file) co_return std::unexpected(file.error());
  if (reading.quick && options_.inline_steps > 0)
    if (auto done = read_inline(loop, sql, parameters, reading, into, *file)) co_return std::move(*done);
  if (disk_.all_wait(kHanging)) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    co_return std::unexpected(caused(&kUnavailable, "sqlite: all reader threads wait for the disk"));
  }
  queued_.fetch_add(1, std::memory_order_relaxed);
  Query query{*this, loop, sql, parameters, reading, into, *file};
  co_await static_cast<Ask&>(query);
  if (!query.result && query.result.error().problem == &kOverBudget && query.stopped() != Stop::none)
    co_return std::unexpected(error_of(query.stopped()));
  co_return std::move(query.result);
}

Result<bool> SqliteReaders::only_reads(std::string_view sql) {
  const auto file = gate_.pass();
  if (!file) return std::unexpected(file.error());
  auto reader = own(*file);
  if (!reader) return std::unexpected(std::move(reader).error());
  return (*reader)->only_reads(sql);
}

void SqliteReaders::hold_back(bool held) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(held_back_, held) == held) return;
  }
  if (!held) ready_.notify_all();
}

void SqliteReaders::end_running() {
  std::lock_guard lock(mutex_);
  for (auto& worker : workers_) worker->end_for_the_log();
}

void SqliteReaders::count(Counts& counts) const {
  counts.reads_inline = inline_.load(std::memory_order_relaxed);
  counts.reads_moved = moved_.load(std::memory_order_relaxed);
  counts.reads_queued = queued_.load(std::memory_order_relaxed);
  counts.reads_refused = refused_.load(std::memory_order_relaxed);
}

void SqliteReaders::load(Load& load) const noexcept {
  load.reads_waiting = waiting_.load(std::memory_order_relaxed);
  load.reads_running = running_.load(std::memory_order_relaxed);
  load.readers = std::max<std::int64_t>(1, options_.readers);
}

}  // namespace plimsoll::database
