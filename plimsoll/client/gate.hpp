#pragma once

#include "plimsoll/client/failure.hpp"
#include "plimsoll/exchange/policy.hpp"

#include <optional>

namespace plimsoll::client {

/// What came of a call, or of one attempt of it.
struct CallOutcome {
  Result<Response>& answer;
  const std::optional<Failure>& failure;  ///< nothing: it succeeded
  const Context& context;
  Nanoseconds begun = 0, ended = 0;  ///< of the loop's clock
  bool lost_race = false;            ///< it was given up because another attempt has answered
};

/// A policy that looks at a call before it begins and when it has ended, and never waits. Gates that follow one another
/// in the chain share one coroutine: that of the first of them.
class Gate : public Policy {
 public:
  /// The call begins, unless this refuses it.
  virtual Result<> begin(Request& request, Context& context, CallState& state) = 0;
  /// One that it let begin has ended: called once for each of them.
  virtual void end(const CallOutcome& outcome, CallState& state) = 0;
  /// How long what stands behind the gates of its coroutine may take; 0: as long as it likes.
  virtual Nanoseconds span() const noexcept { return 0; }

  /// `next` follows it in the chain, and is called by it.
  void followed_by(Gate& next) noexcept;
  Task<Result<Response>> apply(Request& request, Context& context, Next next) final;

 private:
  Gate *before_ = nullptr, *next_ = nullptr;
};

}  // namespace plimsoll::client
