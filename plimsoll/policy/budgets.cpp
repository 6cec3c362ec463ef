#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"

namespace plimsoll::policy {
namespace {

/// Sets what one exchange may cost where the contract says so; the defaults need no policy.
///
/// The scopes nest member by member: an operation that gives one budget keeps the others of its path and of the
/// document.
class Budgets final : public Check {
 public:
  struct Options {
    std::int64_t steps = static_cast<std::int64_t>(Steps::kDefault);
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::steps>(
          "steps",
          "What holding a request against the contract may cost: about a step for each value, name or branch of a "
          "schema that is looked at. Beyond it: 400 `too-complex`."),
  };
  static constexpr std::span<const Problem* const> problems{};  // who spends a budget refuses

  static Result<std::unique_ptr<Policy>> build(Options, const Build& build) {
    Options options;
    if (const auto* extension = build.operation.find_extension("budgets"))
      for (const auto* scope : extension->scopes) {
        if (auto read = config::read(*scope, fields, &options, kEveryPolicy); !read)
          return std::unexpected(std::move(read).error());
        if (options.steps < 1) return config::wrong(*scope, "`steps` is at least 1");
      }
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

extern constinit const Part budgets = part<Budgets>("budgets", "Bounds what one exchange may cost.");

}  // namespace plimsoll::policy
