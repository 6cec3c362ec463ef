#include "plimsoll/exchange/budgets.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/promises.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/after_policy.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"

namespace plimsoll::policy {
namespace {

/// What a handler answers in one piece: refused here where it is too large, before anything of it is committed, kept or
/// copied. A stream is sent as it comes, and nothing keeps it.
class WholeResponse final : public AfterPolicy {
 public:
  explicit WholeResponse(config::Size most) : most_(most) {}

  void after(Request&, Context&, Result<Response>& answer) override {
    const auto body = answer ? whole_text(answer->body) : std::nullopt;
    if (body && body->size() > most_.bytes) [[unlikely]]
      answer = fail(database::kResponseTooLarge, "at most " + config::to_string(most_));
  }

 private:
  const config::Size most_;
};

/// A `table` spends the size of a response by itself, while it reads its rows; results of a `job` are bounded where
/// they are made.
bool has_bounded_responses(const contract::Operation& operation) {
  return operation.extension("table") || operation.extension("job");
}

/// Sets the steps that one exchange may cost where the contract says so; the default needs no policy. The same part
/// stands around the handler for the size of the response.
class Budgets final : public Check {
 public:
  using Options = plimsoll::Budgets;
  static constexpr auto& fields = kBudgetFields;
  static constexpr std::string_view example = "{response: 4MiB, rows: 10000}";
  static constexpr std::span<const Problem* const> problems{};  // who spends a budget refuses

  static Result<std::unique_ptr<Policy>> build(Options, const Build& build) {
    const auto read = budgets_of(build.operation);
    if (!read) return std::unexpected(read.error());
    const auto& options = *read;
    if (build.place > 0) {
      if (has_bounded_responses(build.operation)) return nullptr;
      return std::make_unique<WholeResponse>(options.response);
    }
    if (options.steps == Options{}.steps) return nullptr;
    return std::make_unique<Budgets>(options);
  }
  static void describe(const Options&, const Description& description, contract::Promises& promises) {
    if (!has_bounded_responses(description.operation)) promises.refuses(database::kResponseTooLarge);
  }
  explicit Budgets(Options options) : options_(options) {}

  Result<> check(Request&, Context& context) override {
    context.steps = Steps(static_cast<std::uint64_t>(options_.steps));
    return {};
  }

 private:
  Options options_;
};

}  // namespace

extern constinit const Part budgets = part<Budgets>("budgets", "Limits the cost of one request and its response.");

}  // namespace plimsoll::policy
