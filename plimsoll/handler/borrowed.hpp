#pragma once

#include "plimsoll/exchange/context.hpp"

#include <memory>
#include <utility>

namespace plimsoll::handler {

/// A handler of the program as one plan's own: the one that was bound to an operation of that plan, or the program's
/// itself, which outlives every plan.
class Borrowed final : public Handler {
 public:
  /// `bound`: null where the program's own answers as it is.
  Borrowed(Handler& handler, std::unique_ptr<Handler> bound)
      : bound_(std::move(bound)), handler_(bound_ ? *bound_ : handler) {}

  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto answer = co_await handler_.handle(request, context);
    // Before a policy adds to them: an arena of the handler's own has gone with it.
    if (answer && !lasts(*answer, context)) co_return std::unexpected(fields_elsewhere());
    co_return answer;
  }
  Audience audience() const noexcept override { return handler_.audience(); }

 private:
  const std::unique_ptr<Handler> bound_;
  Handler& handler_;
};

}  // namespace plimsoll::handler
