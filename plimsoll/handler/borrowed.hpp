#pragma once

#include "plimsoll/exchange/policy.hpp"

namespace plimsoll::handler {

/// A handler that belongs to the program and outlives every plan, as the plan's own.
class Borrowed final : public Handler {
 public:
  explicit Borrowed(Handler& handler) : handler_(handler) {}
  PLIMSOLL_FORWARDS Task<Result<Response>> handle(Request& request, Context& context) override {
    return handler_.handle(request, context);
  }
  Audience audience() const noexcept override { return handler_.audience(); }

 private:
  Handler& handler_;
};

}  // namespace plimsoll::handler
