#include "plimsoll/database/postgres_sharing.hpp"

#include "plimsoll/database/postgres_error.hpp"

namespace plimsoll::database {

/// One read; lives in its frame. It waits until it has its answer, or has to wait at the socket for all.
struct PostgresSharing::Reader final : Waiting, Deferred {
  explicit Reader(Loop& of) : loop(of) {
    run = [](Deferred& deferred) {
      auto& self = static_cast<Reader&>(deferred);
      if (self.scope) self.scope->go_on();
      self.who.resume();
    };
  }
  bool await_ready() const noexcept { return ended; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> waiting) noexcept {
    scope = waiting.promise().scope;
    if (scope) {
      if (scope->stopped() != Stop::none) return false;
      scope->wait_at(*this);
    }
    who = waiting;
    waits = true;
    return true;
  }
  void await_resume() noexcept { waits = false; }
  void stop(Stop) noexcept override { wake(); }
  void wake() noexcept {
    if (waits && !deferred()) loop.defer(*this);
  }

  Loop& loop;
  PostgresConnection::Unit unit;
  Scope* scope = nullptr;
  std::coroutine_handle<> who;
  bool waits = false, ended = false, drives = false, lost = false;
};

/// Where a read ends by an exception, while it is said or somewhere between its rows: the connection is of no use to
/// the others.
struct PostgresSharing::Stay {
  PostgresSharing& sharing;
  Reader& me;
  bool said = false, over = false;
  ~Stay() {
    if (over) return;
    sharing.leave(me);
    if (!sharing.lease_) return;
    if (!me.drives) {
      if (said) return;
      // It may be said in part. Whoever waits at the socket gives the connection back.
      (*sharing.lease_)->abandon();
      sharing.lose(postgres_unavailable("a read that shares the connection has failed"), &me);
      return;
    }
    (*sharing.lease_)->abandon();
    sharing.lose(postgres_unavailable("a read that shares the connection has failed"), &me);
    sharing.hand_over();
  }
};

/// What was said in one turn of the loop leaves in one write.
struct PostgresSharing::Sends final : Deferred {
  explicit Sends(PostgresSharing& of) : sharing(of) {
    run = [](Deferred& deferred) {
      auto& all = static_cast<Sends&>(deferred).sharing;
      // What does not go, or fails, is met by whoever waits at the socket.
      if (all.lease_) (void)(*all.lease_)->flush();
    };
  }
  PostgresSharing& sharing;
};

PostgresSharing::PostgresSharing(Loop& loop) : loop_(loop), sends_(std::make_unique<Sends>(*this)) {}
PostgresSharing::~PostgresSharing() = default;

PostgresSharing::Prepared PostgresSharing::can_join(const PostgresPool& pool, const Statement& statement) {
  if (!lease_ || pool_ != &pool || closed_ || count_ >= kMost) return nullptr;
  if (loop_.now() >= until_) {
    closed_ = true;
    return nullptr;
  }
  return (*lease_)->can_pipe(statement);
}

void PostgresSharing::begin(const PostgresPool& pool, PostgresPool::Lease lease) {
  pool_ = &pool;
  lease_.emplace(std::move(lease));
  until_ = loop_.now() + kLongestUse;
  closed_ = false;
  dropped_ = {};
}

Task<PostgresSharing::Outcome> PostgresSharing::join(const Statement& statement, Prepared prepared) {
  Reader me{loop_};
  me.drives = count_ == 0;
  Stay stay{*this, me};
  (*lease_)->pipe(statement, prepared, me.unit);
  reader(count_++) = &me;
  stay.said = true;
  if (!me.drives) {
    if (!sends_->deferred()) loop_.defer(*sends_);
    co_await me;
  }
  Result<> driven{};
  while (me.drives && !me.ended && driven) {
    auto& connection = **lease_;
    const auto event = connection.next();
    if (event.kind != PostgresProtocol::Kind::none) {
      hand_out(event, &me);
      continue;
    }
    driven = co_await connection.receive();
    if (driven || !connection.broken()) continue;  // told to stop
    lose(driven.error(), &me);
  }
  stay.over = true;
  if (!me.ended) leave(me);
  if (me.drives) hand_over();
  if (me.ended) co_return Outcome{.done = std::move(me.unit.outcome), .lost = me.lost};
  if (!driven) co_return Outcome{.done = std::move(driven)};
  const Scope* scope = co_await this_scope();
  co_return Outcome{.done = std::unexpected(error_of(scope->stopped()))};
}

void PostgresSharing::hand_out(const PostgresProtocol::Event& event, Reader* me) {
  auto& connection = **lease_;
  auto* whose = count_ > 0 ? reader(0) : nullptr;
  auto& unit = whose ? whose->unit : dropped_;
  const bool ended = connection.take(unit, event);
  if (connection.broken())
    return lose(unit.outcome ? postgres_unavailable("the connection was lost") : unit.outcome.error(), me);
  if (!ended) return;
  if (count_ > 0) {
    front_ = (front_ + 1) % kMost;
    --count_;
  }
  if (!whose) {
    dropped_ = {};
    return;
  }
  if (!whose->unit.outcome && whose->unit.outcome.error().problem == &kRunAgain) {
    stale_.emplace_back(whose->unit.sql());
    closed_ = true;
  }
  whose->ended = true;
  if (whose != me) whose->wake();
}

void PostgresSharing::lose(Error why, Reader* me) {
  closed_ = true;
  for (std::size_t i = 0; i < count_; ++i) {
    auto* whose = reader(i);
    if (!whose) continue;
    whose->unit.outcome = std::unexpected(why);
    whose->ended = whose->lost = true;
    if (whose != me) whose->wake();
  }
  count_ = 0;
}

void PostgresSharing::leave(Reader& me) {
  for (std::size_t i = 0; i < count_; ++i)
    if (reader(i) == &me) reader(i) = nullptr;
}

void PostgresSharing::hand_over() {
  for (std::size_t i = 0; i < count_; ++i)
    if (auto* next = reader(i)) {
      next->drives = true;
      next->wake();
      return;
    }
  auto& connection = **lease_;
  // What nobody waits for any more ends by itself: it is short.
  if (connection.busy()) connection.cancellable = false;
  if (!connection.busy())
    for (const auto& sql : stale_) connection.forget(sql);
  stale_.clear();
  count_ = 0;
  lease_.reset();
}

}  // namespace plimsoll::database
