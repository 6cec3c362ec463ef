#pragma once

#include "plimsoll/exchange/policy.hpp"

namespace plimsoll {

/// A policy that looks at the answer when it is there, and never waits. Those that follow one another in a chain share
/// one coroutine: that of the first of them.
class AfterPolicy : public Policy {
 public:
  /// `answer`: of what stands behind it. It may be changed, or replaced by a refusal.
  virtual void after(Request& request, Context& context, Result<Response>& answer) = 0;

  /// `next` follows it in the chain, and is called by it.
  void followed_by(AfterPolicy& next) noexcept;
  Task<Result<Response>> apply(Request& request, Context& context, Next next) final;

 private:
  AfterPolicy *before_ = nullptr, *next_ = nullptr;
};

}  // namespace plimsoll
