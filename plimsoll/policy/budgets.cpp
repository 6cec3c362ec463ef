#include "plimsoll/exchange/budgets.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"

namespace plimsoll::policy {
namespace {

/// Sets the steps that one exchange may cost where the contract says so; the default needs no policy. What a response
/// may be is spent by the handler that makes it.
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
    if (options.steps == Options{}.steps) return nullptr;
    return std::make_unique<Budgets>(options);
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
