#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/http/message.hpp"

#include <vector>

namespace plimsoll {

class Context;

/// What must become durable together with the answer, though the handler knows nothing of it: an idempotency record, a
/// job, a purge. Joins before the handler runs; is called when the answer is there, before the commit.
class Participant {
 public:
  virtual Task<Result<>> settle(database::Session&, const Response&) = 0;
  /// The transaction has committed (or was given up): told once, on the exchange's thread.
  virtual void settled(bool committed) noexcept { (void)committed; }

 protected:
  ~Participant() = default;
};

/// The unit of work of one exchange. The first to ask begins it; the last link of the chain ends it: an answer below
/// 400 commits; 4xx keeps only what the participants write; 5xx leaves nothing. An Error whose problem is a 4xx that
/// would come again is rendered here already, so that what is recorded is, byte for byte, what is answered.
class Unit {
 public:
  Unit(database::Database& database, Context& context) : database_(database), context_(context) {}

  void join(Participant& participant) { participants_.push_back(&participant); }

  using Work = FunctionRef<Task<Result<Response>>(database::Session&)>;
  /// The short way, one hop: work, participants and commit together, grouped with those of other exchanges.
  /// `hold`: how long it may have the only writer of a database that has one.
  Task<Result<Response>> answer(Work work, database::Hold hold = database::Hold::brief);
  /// The long way, for handlers that wait for others in between. Owned by the unit; the handler never commits.
  Task<Result<database::Session*>> transaction();
  /// By the chain, with what the handler answered.
  Task<Result<Response>> close(Result<Response> answer);
  bool used() const { return open_ || settled_ || !participants_.empty(); }

 private:
  Task<Result<>> settle(database::Session&, const Response&);
  void render(Result<Response>&);
  void tell(bool committed) noexcept;
  database::Database& database_;
  Context& context_;
  std::vector<Participant*> participants_;
  std::unique_ptr<database::Transaction> open_;
  bool settled_ = false;
};

}  // namespace plimsoll
