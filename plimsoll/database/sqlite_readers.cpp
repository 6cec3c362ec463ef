#include "plimsoll/database/sqlite_readers.hpp"

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

struct SqliteReaders::Query final : Ask {
  Query(SqliteReaders& readers, Loop& loop, std::string_view sql, std::span<const Cell> parameters, RowSink& into)
      : Ask(loop), readers(readers), sql(sql), parameters(parameters), into(into) {}
  void hand_over() override {
    {
      std::lock_guard lock(readers.mutex_);
      readers.queries_.push_back(this);
      readers.waiting_.fetch_add(1, std::memory_order_relaxed);
    }
    readers.ready_.notify_one();
  }
  bool withdraw() noexcept override {
    stop_now.store(true, std::memory_order_relaxed);
    std::lock_guard lock(readers.mutex_);
    const bool taken_back = std::erase(readers.queries_, this) != 0;
    if (taken_back) readers.waiting_.fetch_sub(1, std::memory_order_relaxed);
    return taken_back;
  }

  SqliteReaders& readers;
  std::string_view sql;
  std::span<const Cell> parameters;
  RowSink& into;
  std::atomic<bool> stop_now{false};
};

SqliteReaders::SqliteReaders(const SqliteOptions& options) : options_(options), id_(next_id++) {}

Result<> SqliteReaders::start() {
  for (std::int64_t i = 0; i < std::max<std::int64_t>(1, options_.readers); ++i) {
    auto connection = SqliteConnection::open(options_, SqliteConnection::Role::reader);
    if (!connection) return std::unexpected(std::move(connection).error());
    threads_.emplace_back([this, &connection = **connection] { serve(connection); });
    std::lock_guard lock(mutex_);
    connections_.push_back(std::move(*connection));
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

void SqliteReaders::serve(SqliteConnection& connection) {
  for (std::unique_lock lock(mutex_);;) {
    ready_.wait(lock, [&] { return closing_ || !queries_.empty(); });
    if (queries_.empty()) return;
    auto* query = queries_.front();
    queries_.pop_front();
    running_.fetch_add(1, std::memory_order_relaxed);
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    lock.unlock();
    execute(*query, connection);
    lock.lock();
  }
}

void SqliteReaders::execute(Query& query, SqliteConnection& connection) {
  query.result = connection.run(query.sql, query.parameters, &query.into, {.stop = &query.stop_now});
  running_.fetch_sub(1, std::memory_order_relaxed);
  query.answer();  // gone from here on
}

Result<SqliteTurnReader*> SqliteReaders::own() {
  for (auto& own : owned)
    if (own.database == id_) return own.reader;
  auto opened = SqliteConnection::open(options_, SqliteConnection::Role::reader);
  if (!opened) return std::unexpected(std::move(opened).error());
  auto made = std::make_shared<SqliteTurnReader>(std::move(*opened), pages_of(options_.checkpoint));
  auto* reader = made.get();
  {
    std::lock_guard lock(mutex_);
    turn_readers_.push_back(std::move(made));
  }
  owned.push_back({id_, reader});
  return reader;
}

Task<Result<>> SqliteReaders::read(Loop& loop, std::string_view sql, std::span<const Cell> parameters, bool quick,
                                   RowSink& into) {
  if (quick && options_.inline_steps > 0) {
    auto reader = own();
    if (!reader) co_return std::unexpected(std::move(reader).error());
    auto done = (*reader)->read(loop, sql, parameters, into, {.steps = options_.inline_steps});
    if (done || done.error().problem != &kOverBudget) {
      inline_.fetch_add(1, std::memory_order_relaxed);
      if ((*reader)->sharing()) shared_.fetch_add(1, std::memory_order_relaxed);
      co_return done;
    }
    moved_.fetch_add(1, std::memory_order_relaxed);
  }
  queued_.fetch_add(1, std::memory_order_relaxed);
  Query query{*this, loop, sql, parameters, into};
  co_await static_cast<Ask&>(query);
  if (!query.result && query.result.error().problem == &kOverBudget && query.stopped() != Stop::none)
    co_return std::unexpected(error_of(query.stopped()));
  co_return std::move(query.result);
}

void SqliteReaders::count(Counts& counts) const {
  counts.reads_inline = inline_.load(std::memory_order_relaxed);
  counts.reads_moved = moved_.load(std::memory_order_relaxed);
  counts.reads_queued = queued_.load(std::memory_order_relaxed);
}

void SqliteReaders::load(Load& load) const noexcept {
  load.reads_waiting = waiting_.load(std::memory_order_relaxed);
  load.reads_running = running_.load(std::memory_order_relaxed);
  load.readers = std::max<std::int64_t>(1, options_.readers);
}

}  // namespace plimsoll::database
