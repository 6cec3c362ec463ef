#include "plimsoll/database/postgres_pool.hpp"

#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/postgres_error.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::database {
namespace {

constexpr Nanoseconds kLook = kSecond;          ///< between two looks at idle connections
constexpr Nanoseconds kRecovery = 5 * kSecond;  ///< after which a connection that was left is closed

PoolLimits limits_of(const PostgresOptions& options) {
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(1, options.most));
  return {.least = std::min(most, static_cast<std::size_t>(std::max<std::int64_t>(0, options.least))),
          .most = most,
          .idle = options.idle.nanoseconds,
          .life = options.life.nanoseconds,
          .room = static_cast<std::size_t>(std::max<std::int64_t>(1, options.queue))};
}

bool says(std::string_view text, std::string_view what) { return text.find(what) != text.npos; }

/// The server has as many connections as it takes; those that are open can be used.
bool is_full(std::string_view cause) {
  return says(cause, "too many clients") || says(cause, "remaining connection slots") ||
         says(cause, "too many connections");
}

}  // namespace

/// One who waits for a connection; lives in the waiting frame.
struct PostgresPool::Waiter final : FairQueue::Entry, Waiting, Alarm {
  Waiter(PostgresPool& pool, Loop& loop, ReadClass of_class, std::uint64_t of_caller, Nanoseconds span)
      : pool(pool), loop(loop), span(span) {
    order = of_class;
    caller = of_caller;
    ring = [](Alarm& alarm) {
      auto& self = static_cast<Waiter&>(alarm);
      if (self.leave(busy())) self.pool.refused_.fetch_add(1, std::memory_order_relaxed);
    };
  }
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    scope = parent.promise().scope;
    if (scope && scope->stopped() != Stop::none) {
      result = std::unexpected(error_of(scope->stopped()));
      return false;
    }
    who = parent;
    bool wanted = false;
    {
      const std::lock_guard lock(pool.mutex_);
      if (pool.ledger_.down()) {
        result = std::unexpected(postgres_unavailable(pool.cause_));
        pool.refused_.fetch_add(1, std::memory_order_relaxed);
        return false;
      }
      if (auto* given_up = static_cast<Waiter*>(pool.ledger_.ask(*this))) {
        pool.refused_.fetch_add(1, std::memory_order_relaxed);
        given_up->answer(std::unexpected(busy()));
        if (given_up == this) return false;
      }
      pool.serve();
      if (answered) return false;
      loop.expect();
      waits = true;
      wanted = pool.ledger_.to_open(loop.now()) > 0;
    }
    // Whoever answers posts to this thread, which is here: the rest is in time.
    if (scope) scope->wait_at(*this);
    loop.wheel().arm(*this, loop.tick_in(span));
    if (wanted) pool.wake();
    return true;
  }
  void await_resume() noexcept {
    disarm();
    if (scope && waits) scope->go_on();
  }
  void stop(Stop why) noexcept override { leave(error_of(why)); }
  /// False: it has been answered already.
  bool leave(Error error) noexcept {
    const std::lock_guard lock(pool.mutex_);
    if (!pool.ledger_.leave(*this)) return false;
    pool.note_sizes();
    answer(std::unexpected(std::move(error)));
    return true;
  }
  /// Under the lock, when it is in no queue any longer.
  void answer(Result<> with) noexcept {
    result = std::move(with);
    answered = true;
    if (waits) loop.resume(who);
  }

  PostgresPool& pool;
  Loop& loop;
  Nanoseconds span;
  Scope* scope = nullptr;
  std::coroutine_handle<> who;
  bool waits = false, answered = false;
  Result<> result{};
  PostgresConnection* connection = nullptr;
};

PostgresPool::PostgresPool(PostgresTarget target, const PostgresOptions& options,
                           std::shared_ptr<net::Resolver> resolver)
    : target_(std::move(target)), options_(options), resolver_(std::move(resolver)), ledger_(limits_of(options)) {
  closing_.reserve(limits_of(options).most);
  abandoned_.reserve(limits_of(options).most);
  used_.reserve(limits_of(options).most);
}

PostgresPool::~PostgresPool() {
  if (thread_.joinable()) {
    wakes_.wake_all([&] { ending_ = true; });
    thread_.join();
  }
  const std::lock_guard lock(mutex_);
  ledger_.sift([&](PostgresConnection& one) {
    delete &one;
    return true;
  });
  for (auto* one : closing_) delete one;
  for (auto& one : abandoned_) delete one.connection;
}

Result<> PostgresPool::start() {
  auto first = wait_for([&](Loop& loop) -> Task<Result<std::unique_ptr<PostgresConnection>>> {
    auto made = co_await connect(loop);
    co_return made;
  });
  if (!first) return std::unexpected(std::move(first).error());
  {
    const std::lock_guard lock(mutex_);
    ledger_.opens();
  }
  add(std::move(*first));
  start_later();
  return {};
}

void PostgresPool::start_later() {
  loop_.spawn(keeping_, keep());
  thread_ = std::thread([this] { loop_.run(); });
}

Task<Result<std::unique_ptr<PostgresConnection>>> PostgresPool::connect(Loop& loop) {
  const auto until = loop.now() + options_.connect.nanoseconds;
  auto endpoints = co_await within(loop, options_.connect.nanoseconds, target_.resolve(loop, *resolver_));
  if (!endpoints) {
    if (endpoints.error().problem == &kDraining) co_return std::unexpected(std::move(endpoints).error());
    auto error = postgres_unavailable(reason_of(endpoints.error()));
    error.retryable = endpoints.error().problem != &kDatabaseUrl;
    co_return std::unexpected(std::move(error));
  }
  auto secured = tls();
  if (!secured) {
    auto error = postgres_unavailable(secured.error().detail);
    error.retryable = false;
    co_return std::unexpected(std::move(error));
  }
  const PostgresConnection::Options options{.statements = options_.statements == PostgresOptions::Statements::on};
  auto made = co_await PostgresConnection::open(loop, target_, *endpoints, *secured, options, until);
  co_return made;
}

Result<std::shared_ptr<net::TlsClient>> PostgresPool::tls() {
  using Tls = PostgresTarget::Tls;
  if (target_.tls == Tls::disable || std::ranges::all_of(target_.hosts, &PostgresTarget::Host::is_unix))
    return std::shared_ptr<net::TlsClient>{};
  std::vector<std::filesystem::file_time_type> files;
  for (const auto* file : {&target_.authorities, &target_.certificate, &target_.key}) {
    std::error_code ignored;
    files.push_back(std::filesystem::last_write_time(*file, ignored));
  }
  const std::lock_guard lock(tls_mutex_);
  if (tls_ && files == tls_files_) return tls_;
  auto loaded = net::TlsClient::load({.authorities = target_.authorities,
                                      .verify = target_.tls == Tls::verify_full ? net::TlsVerify::name
                                                : target_.tls == Tls::verify_ca ? net::TlsVerify::authority
                                                                                : net::TlsVerify::nothing,
                                      .certificate = target_.certificate,
                                      .key = target_.key});
  if (!loaded && tls_) return tls_;  // files in the middle of an exchange
  if (!loaded) return loaded;
  tls_files_ = std::move(files);
  tls_ = std::move(*loaded);
  return tls_;
}

void PostgresPool::add(std::unique_ptr<PostgresConnection> connection) {
  if (options_.opened) options_.opened();
  const std::lock_guard lock(mutex_);
  const auto now = system_clock().steady();
  const auto life = options_.life.nanoseconds;
  connection->until =
      now + life -
      static_cast<Nanoseconds>(static_cast<double>(life) * 0.1 * std::uniform_real_distribution<>(0, 1)(random_));
  auto* raw = connection.release();
  ledger_.opened(*raw, now, raw->until);
  serve();
}

void PostgresPool::note_sizes() {
  in_use_.store(static_cast<std::int64_t>(ledger_.in_use()), std::memory_order_relaxed);
  idle_.store(static_cast<std::int64_t>(ledger_.idle()), std::memory_order_relaxed);
  opening_.store(static_cast<std::int64_t>(ledger_.opening()), std::memory_order_relaxed);
  waiting_.store(static_cast<std::int64_t>(ledger_.waiting()), std::memory_order_relaxed);
  down_.store(ledger_.down(), std::memory_order_relaxed);
}

PoolState PostgresPool::state() const noexcept {
  return {.in_use = in_use_.load(std::memory_order_relaxed),
          .idle = idle_.load(std::memory_order_relaxed),
          .opening = opening_.load(std::memory_order_relaxed),
          .waiting = waiting_.load(std::memory_order_relaxed),
          .most = std::max<std::int64_t>(1, options_.most),
          .down = down_.load(std::memory_order_relaxed)};
}

void PostgresPool::serve() {
  for (auto served = ledger_.next(); served.entry; served = ledger_.next()) {
    auto& waiter = static_cast<Waiter&>(*served.entry);
    used_.push_back(served.connection);  // room for all was made at the start
    waiter.connection = served.connection;
    waiter.answer({});
  }
  while (auto* entry = ledger_.refuse()) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    static_cast<Waiter*>(entry)->answer(std::unexpected(postgres_unavailable(cause_)));
  }
  note_sizes();
}

void PostgresPool::wake() {
  wakes_.wake_all([&] { awake_ = true; });
}

Task<Result<PostgresPool::Lease>> PostgresPool::acquire(Loop& loop, ReadClass order, std::uint64_t caller) {
  const auto& clock = system_clock();
  const auto began = clock.steady();
  for (;;) {
    const auto left = began + options_.acquire.nanoseconds - clock.steady();
    if (left <= 0) co_return std::unexpected(busy());
    Waiter waiter{*this, loop, order, caller, left};
    co_await waiter;
    if (!waiter.result) co_return std::unexpected(std::move(waiter.result).error());
    Lease lease{*this, *waiter.connection, order, caller};
    if (lease->gone()) {
      lease->abandon();
      continue;  // the server has closed it while nobody used it
    }
    lease->attach(loop);
    if (options_.acquired) options_.acquired->record(clock.steady() - began);
    co_return lease;
  }
}

void PostgresPool::give_back(PostgresConnection& connection, ReadClass order, std::uint64_t caller) noexcept {
  connection.detach();
  connection.forget_first();
  const bool usable = !connection.broken();
  bool wanted = false;
  {
    const std::lock_guard lock(mutex_);
    std::erase(used_, &connection);
    if (usable && connection.dirty()) {
      abandoned_.push_back({&connection, order, caller});  // room for all was made at the start
      wanted = true;
    } else {
      const auto now = system_clock().steady();
      if (!ledger_.give_back(connection, order, caller, now, connection.until, usable)) {
        closing_.push_back(&connection);
        wanted = true;
      }
      serve();
      wanted |= ledger_.to_open(now) > 0;
    }
  }
  if (wanted) wake();
}

void PostgresPool::interrupt() {
  {
    const std::lock_guard lock(mutex_);
    for (const auto* connection : used_)
      if (connection->cancellable) cancelled_.push_back(connection->cancel_key());
  }
  wake();
}

Task<> PostgresPool::cancel(PostgresConnection::CancelKey key) {
  auto asked = co_await within(loop_, kRecovery, PostgresConnection::cancel(loop_, key));
  (void)asked;
}

void PostgresPool::errand(Task<> work) {
  errands_.emplace_back();
  const auto scope = std::prev(errands_.end());
  loop_.spawn(*scope, run_errand(std::move(work), scope));
}

Task<> PostgresPool::run_errand(Task<> work, std::list<Scope>::iterator scope) {
  try {
    co_await std::move(work);
  } catch (const std::bad_alloc&) { rest_of_memory(); }
  errands_.erase(scope);
}

Task<> PostgresPool::keep() {
  for (;;) {
    std::vector<PostgresConnection*> closing;
    std::vector<Abandoned> abandoned;
    std::vector<PostgresConnection::CancelKey> cancelled;
    std::size_t open = 0;
    Nanoseconds next = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto now = system_clock().steady();
      ledger_.sift([&](PostgresConnection& one) {
        if (!one.gone()) return false;
        closing.push_back(&one);
        return true;
      });
      while (auto* old = ledger_.to_close(now)) closing.push_back(old);
      closing.insert(closing.end(), closing_.begin(), closing_.end());
      closing_.clear();
      abandoned = abandoned_;
      abandoned_.clear();
      cancelled.swap(cancelled_);
      open = ledger_.to_open(now);
      for (std::size_t i = 0; i < open; ++i) ledger_.opens();
      next = ledger_.look_again(now, kLook) - now;
      note_sizes();
    }
    for (auto* one : closing) delete one;
    for (std::size_t i = 0; i < open; ++i) errand(open_one());
    for (const auto& one : abandoned) errand(recover(one));
    for (const auto& one : cancelled) errand(cancel(one));
    auto woken = co_await wakes_.wait(loop_, std::max(next, kMillisecond), [&] { return awake_ || ending_; });
    const bool ending = wakes_.look([&] {
      awake_ = false;
      return ending_;
    });
    if (ending) break;
    (void)woken;
  }
  for (auto& scope : errands_) scope.stop(Stop::drain);
}

Task<> PostgresPool::open_one() {
  const auto began = system_clock().steady();
  auto made = co_await connect(loop_);
  if (made) {
    const bool was_down = down_.load(std::memory_order_relaxed);
    add(std::move(*made));
    if (was_down && options_.log)
      options_.log->write(telemetry::Level::info, "database-reachable", [](telemetry::Line& line) {
        line.add("effect", "requests that need the database are served again");
      });
    co_return;
  }
  if (made.error().problem == &kDraining) {
    const std::lock_guard lock(mutex_);
    ledger_.given_up();
    co_return;
  }
  const auto cause = reason_of(made.error());
  bool fell = false;
  {
    const std::lock_guard lock(mutex_);
    const bool was_down = ledger_.down();
    ledger_.failed(began, system_clock().steady(), is_full(cause));
    cause_ = cause.starts_with("postgres: ") ? cause.substr(10) : cause;
    fell = !was_down && ledger_.down();
    serve();
  }
  wake();
  if (fell && options_.log)
    options_.log->write(telemetry::Level::error, "database-unreachable", [&](telemetry::Line& line) {
      line.add("reason", cause)
          .add("effect", "requests that need the database are answered 503 until it is there again");
    });
}

Task<> PostgresPool::recover(Abandoned abandoned) {
  auto& connection = *abandoned.connection;
  connection.attach(loop_);
  // Never through a pooler, whose keys are not the server's; and a commit is not broken off.
  if (connection.busy() && connection.cancellable && options_.statements == PostgresOptions::Statements::on) {
    auto asked = co_await within(loop_, kRecovery, PostgresConnection::cancel(loop_, connection.cancel_key()));
    (void)asked;
  }
  auto done = co_await within(loop_, kRecovery, connection.recover());
  connection.detach();
  connection.cancellable = true;
  const bool usable = done && !connection.broken() && !connection.dirty();
  {
    const std::lock_guard lock(mutex_);
    if (!ledger_.give_back(connection, abandoned.order, abandoned.caller, system_clock().steady(), connection.until,
                           usable))
      closing_.push_back(&connection);
    serve();
  }
  wake();
}

}  // namespace plimsoll::database
