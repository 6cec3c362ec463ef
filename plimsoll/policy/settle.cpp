#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/unit.hpp"
#include "plimsoll/http/method.hpp"

namespace plimsoll::policy {
namespace {

/// Ends the exchange's unit of work: rows, participants and answer become durable together, before the answer leaves.
/// The last link, and no option: without it nothing would ever commit.
class Settle final : public Policy {
 public:
  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto answer = co_await next(request, context);
    auto* unit = context.begun_unit();
    if (!unit) co_return answer;
    auto settled = co_await unit->close(std::move(answer));
    co_return settled;
  }
};

constexpr Part make() {
  Part made{.key = {"settle", "Ends the unit of work of an exchange; it cannot be configured.", {}, nullptr},
            .problems = {},
            .metrics = {},
            .build = nullptr};
  made.build = [](const Part& self, const json::Value* options, const Build& build) -> Result<std::unique_ptr<Policy>> {
    if (options) return config::wrong(*options, "`settle` takes no options and cannot be switched off");
    const std::string_view method = build.operation.method;
    if (http::is_safe(method) || !build.services.database) return nullptr;
    auto policy = std::make_unique<Settle>();
    Part::attach(self, *policy, Mode::enforce, build);
    return policy;
  };
  made.describe = [](const json::Value*, const Description& description, contract::Promises& promises) {
    const std::string_view method = description.operation.method;
    if (http::is_safe(method) || description.mock) return;
    if (description.operation.extension("mock")) return;
    for (const auto* problem :
         {&database::kUnavailable, &database::kBusy, &database::kWriteTooLong, &database::kOutcomeUnknown})
      promises.refuses(*problem);
  };
  return made;
}

}  // namespace

extern constinit const Part settle = make();

}  // namespace plimsoll::policy
