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
  bool withdraw() noexcept override {
    stop_now.store(true, std::memory_order_relaxed);
    std::lock_guard lock(readers.mutex_);
    const bool waited = readers.queries_.remove(*this);
    readers.waiting_.store(static_cast<std::int64_t>(readers.queries_.size()), std::memory_order_relaxed);
    return waited;
  }
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
  std::atomic<bool> stop_now{false};
  bool ended_for_the_log = false;
};

SqliteReaders::SqliteReaders(const SqliteOptions& options, const SqliteGate& gate)
    : options_(options),
      gate_(gate),
      id_(next_id++),
      queries_(static_cast<std::size_t>(std::max<std::int64_t>(1, options.readers)),
               static_cast<std::size_t>(std::max<std::int64_t>(1, options.queue))) {}

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
  return SqliteConnection::open(options_, SqliteConnection::Role::reader);
}

Result<> SqliteReaders::start() {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(1, options_.readers));
  on_threads_.reserve(count);
  take_file();
  connections_.resize(count);
  for (auto& connection : connections_) {
    auto opened = open();
    if (!opened) return std::unexpected(std::move(opened).error());
    connection = std::move(*opened);
    threads_.emplace_back([this, &connection] { serve(connection); });
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
}

void SqliteReaders::serve(std::unique_ptr<SqliteConnection>& connection) {
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
    on_threads_.push_back(query);  // room for all was made at the start
    lock.unlock();
    try {
      execute(*query, connection);
    } catch (const std::bad_alloc&) { query->result = fail(kOutOfMemory); }
    lock.lock();
    std::erase(on_threads_, query);
    if (on_threads_.empty()) idle_.notify_all();
    if (query->ended_for_the_log && !query->result) query->result = fail(kBusy);
    queries_.ended(order, caller);  // before anybody is answered: what it asks next is not held against it
    running_.fetch_sub(1, std::memory_order_relaxed);
    lock.unlock();
    query->answer();  // gone from here on
    lock.lock();
  }
}

void SqliteReaders::execute(Query& query, std::unique_ptr<SqliteConnection>& connection) {
  if (!gate_.is_current(query.file)) {
    query.result = std::unexpected(moved_error());
    return;
  }
  if (!connection) {
    auto opened = open();
    if (!opened) {
      query.result = std::unexpected(std::move(opened).error());
      return;
    }
    connection = std::move(*opened);
  }
  const auto begun = options_.slow ? system_clock().steady() : 0;
  query.result = connection->run(query.sql, query.parameters, &query.into,
                                 {.steps = query.steps, .stop = &query.stop_now, .budget = query.budget});
  if (options_.slow)
    if (const auto took = system_clock().steady() - begun; options_.slow->is_slow(took)) [[unlikely]]
      options_.slow->add({.sql = query.sql,
                          .parameters = query.parameters,
                          .operation = query.operation,
                          .took = took,
                          .rows = connection->rows(),
                          .error = query.result ? nullptr : &query.result.error()});
}

void SqliteReaders::close() {
  end_running();
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return on_threads_.empty(); });
  for (auto& connection : connections_) connection.reset();
  for (auto& reader : turn_readers_) reader->close();
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

Task<Result<>> SqliteReaders::read(Loop& loop, std::string_view sql, std::span<const Cell> parameters,
                                   const Reading& reading, RowSink& into) {
  const auto file = gate_.pass();
  if (!file) co_return std::unexpected(file.error());
  if (reading.quick && options_.inline_steps > 0) {
    auto reader = own(*file);
    if (!reader) co_return std::unexpected(std::move(reader).error());
    const bool bounded = reading.steps > 0 && reading.steps <= options_.inline_steps;
    auto done = (*reader)->read(loop, sql, parameters, into,
                                {.steps = bounded ? reading.steps : options_.inline_steps,
                                 .budget = reading.budget,
                                 .bytes = SqliteTurnReader::kMostText});
    if (done || bounded || done.error().problem != &kOverBudget) {
      inline_.fetch_add(1, std::memory_order_relaxed);
      if ((*reader)->sharing()) shared_.fetch_add(1, std::memory_order_relaxed);
      co_return done;
    }
    moved_.fetch_add(1, std::memory_order_relaxed);
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
  for (auto* query : on_threads_) {
    query->ended_for_the_log = true;
    query->stop_now.store(true, std::memory_order_relaxed);
  }
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
