#include "plimsoll/server/injected_database.hpp"

#include "plimsoll/client/faults.hpp"

namespace plimsoll::server {
namespace {

using client::InjectedFault;
using database::Database;
using database::Hold;
using database::Position;
using database::Reading;
using database::RowSink;
using database::Transaction;
using database::Work;

std::unexpected<Error> struck(Error error) {
  error.more().cause = "an injected fault";
  return std::unexpected(std::move(error));
}

class InjectedDatabase final : public Database {
 public:
  InjectedDatabase(std::unique_ptr<Database> behind, client::Faults& faults)
      : behind_(std::move(behind)), faults_(faults) {
    faults_.name(kDatabaseDependency, client::Faults::Statuses::none);
  }

  Task<Result<>> write(Loop& loop, Work work, Hold hold) override {
    auto done = co_await written(loop, [&]() -> Task<Result<>> {
      auto made = co_await behind_->write(loop, work, hold);
      co_return made;
    });
    co_return done;
  }
  Task<Result<>> write_for(const Reading& who, Loop& loop, Work work, Hold hold) override {
    auto done = co_await written(loop, [&]() -> Task<Result<>> {
      auto made = co_await behind_->write_for(who, loop, work, hold);
      co_return made;
    });
    co_return done;
  }
  Task<Result<std::unique_ptr<Transaction>>> begin(Loop& loop) override {
    auto let = co_await pass(loop);
    if (!let) co_return std::unexpected(std::move(let).error());
    auto begun = co_await behind_->begin(loop);
    co_return begun;
  }
  Task<Result<std::unique_ptr<Transaction>>> begin_for(const Reading& who, Loop& loop) override {
    auto let = co_await pass(loop);
    if (!let) co_return std::unexpected(std::move(let).error());
    auto begun = co_await behind_->begin_for(who, loop);
    co_return begun;
  }
  Task<Result<>> read(Loop& loop, std::string_view sql, std::span<const database::Cell> parameters,
                      const Reading& reading, RowSink& into) override {
    auto let = co_await pass(loop);
    if (!let) co_return std::unexpected(std::move(let).error());
    auto done = co_await behind_->read(loop, sql, parameters, reading, into);
    co_return done;
  }

  const database::Dialect& dialect() const noexcept override { return behind_->dialect(); }
  Result<bool> only_reads(std::string_view sql) override { return behind_->only_reads(sql); }
  PLIMSOLL_FORWARDS Task<Result<std::string>> plan_of(Loop& loop, std::string_view sql,
                                                      std::size_t parameters) override {
    return behind_->plan_of(loop, sql, parameters);
  }
  database::Counts counts() const override { return behind_->counts(); }
  database::Load load() const noexcept override { return behind_->load(); }
  database::LogState log_state() const noexcept override { return behind_->log_state(); }
  database::PoolState pool_state() const noexcept override { return behind_->pool_state(); }
  std::vector<database::ReplicaState> replicas() const override { return behind_->replicas(); }
  bool has_replicas() const noexcept override { return behind_->has_replicas(); }
  Position known_position() const noexcept override { return behind_->known_position(); }
  PLIMSOLL_FORWARDS Task<Result<Position>> position(Loop& loop) override { return behind_->position(loop); }
  std::string cluster() const override { return behind_->cluster(); }
  void interrupt() noexcept override { behind_->interrupt(); }
  std::string trouble() const override { return behind_->trouble(); }
  bool lost() const noexcept override { return behind_->lost(); }
  Result<> reopen() override { return behind_->reopen(); }
  void admit() override { behind_->admit(); }
  void refuse(std::string reason) override { behind_->refuse(std::move(reason)); }
  database::TableVersions& versions() noexcept override { return behind_->versions(); }

 private:
  Task<Result<>> pass(Loop& loop) {
    auto fault = co_await faults_.strike(loop, kDatabaseDependency);
    if (!fault) co_return std::unexpected(std::move(fault).error());
    if (*fault && (*fault)->kind != InjectedFault::Kind::reset) co_return struck({&database::kUnavailable});
    co_return Result<>{};
  }
  template <class F>
  Task<Result<>> written(Loop& loop, F write) {
    auto fault = co_await faults_.strike(loop, kDatabaseDependency);
    if (!fault) co_return std::unexpected(std::move(fault).error());
    if (*fault && (*fault)->kind != InjectedFault::Kind::reset) co_return struck({&database::kUnavailable});
    auto done = co_await write();
    if (*fault && done) co_return struck({&database::kOutcomeUnknown});
    co_return done;
  }

  const std::unique_ptr<Database> behind_;
  client::Faults& faults_;
};

}  // namespace

std::unique_ptr<Database> with_faults(std::unique_ptr<Database> behind, client::Faults& faults) {
  return std::make_unique<InjectedDatabase>(std::move(behind), faults);
}

}  // namespace plimsoll::server
