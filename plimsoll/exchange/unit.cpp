#include "plimsoll/exchange/unit.hpp"

#include "plimsoll/base/crash_point.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/exchange/reading.hpp"

namespace plimsoll {

Unit& Context::unit() {
  if (!unit_) unit_ = &keep<Unit>(*services.database, *this);
  return *unit_;
}

void Unit::render(Result<Response>& answer) {
  if (answer || answer.error().problem->status >= 500 || answer.error().retryable) return;
  answer = problem_document(answer.error(), context_);
}

Task<Result<>> Unit::settle(database::Session& session, const Response& response) {
  crash_point("unit.settling");
  for (auto* participant : participants_)
    if (auto done = co_await participant->settle(session, response); !done) co_return done;
  co_return Result<>{};
}

void Unit::tell(bool committed) noexcept {
  if (committed) crash_point("unit.committed");
  if (committed)
    for (auto table : context_.tables_written()) database_.versions().wrote(table);
  for (auto* participant : participants_) participant->settled(committed);
}

Task<Result<Response>> Unit::answer(Work work, database::Hold hold) {
  if (settled_ || open_)
    co_return std::unexpected(Error{&kInternal}.because("a unit of work is answered once: settled, or open, already"));
  Result<Response> answer = fail(kInternal);
  bool ran = false, kept = false, undone = false;
  // Only what participants write outlives a refusal, and after a failed statement some databases go on only from there.
  const bool nests = !participants_.empty() || database_.dialect().failure_ends_transaction();
  const auto who = reading_of(context_);
  auto written = co_await database_.write_for(
      who, context_.loop,
      [&](database::Session& session) -> Task<Result<>> {
        ran = kept = undone = false;  // of a call before, whose transaction was lost
        if (nests)
          if (auto nested = co_await session.query("SAVEPOINT handler", {}); !nested)
            co_return std::unexpected(std::move(nested).error());
        answer = co_await work(session);
        ran = true;
        render(answer);
        if (!answer) co_return std::unexpected(answer.error());
        undone = answer->status >= 400 && !nests;
        if (undone) co_return fail(kInternal, "the response is a refusal: nothing of it is to stay");
        if (answer->status >= 400) {
          auto back = co_await session.query("ROLLBACK TO handler", {});
          if (!back) co_return std::unexpected(std::move(back).error());
        }
        if (answer->status >= 500) co_return Result<>{};
        kept = true;
        co_return co_await settle(session, *answer);
      },
      hold);
  settled_ = true;
  tell(written && kept);
  if (!written && !undone && (answer || !ran)) co_return std::unexpected(std::move(written).error());
  co_return answer;
}

Task<Result<database::Session*>> Unit::transaction() {
  if (!open_) {
    const auto who = reading_of(context_);
    auto begun = co_await database_.begin_for(who, context_.loop);
    if (!begun) co_return std::unexpected(std::move(begun).error());
    open_ = std::move(*begun);
    auto nested = co_await open_->query("SAVEPOINT handler", {});
    if (!nested) co_return std::unexpected(std::move(nested).error());
  }
  co_return open_.get();
}

Task<Result<Response>> Unit::close(Result<Response> answer) {
  render(answer);
  const bool keep = answer && answer->status < 500;
  if (open_) {
    auto transaction = std::move(open_);
    Result<> done{};
    if (keep && answer->status >= 400)
      if (auto undone = co_await transaction->query("ROLLBACK TO handler", {}); !undone)
        done = std::unexpected(undone.error());
    if (keep && done) done = co_await settle(*transaction, *answer);
    auto ended = co_await transaction->end(keep && done);
    tell(keep && done && ended);
    if (!done) co_return std::unexpected(std::move(done).error());
    if (keep && !ended) co_return std::unexpected(std::move(ended).error());
  } else if (keep && !settled_ && !participants_.empty()) {
    const auto who = reading_of(context_);
    auto written = co_await database_.write_for(
        who, context_.loop,
        [&](database::Session& session) -> Task<Result<>> { co_return co_await settle(session, *answer); },
        database::Hold::brief);
    tell(written.has_value());
    if (!written) co_return std::unexpected(std::move(written).error());
  } else if (!settled_) {
    tell(false);
  }
  co_return answer;
}

}  // namespace plimsoll
