#pragma once

#include "plimsoll/base/steps.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"

namespace plimsoll {

/// `budgets` of the contract: what one exchange may cost. Each is spent, and refused, by whoever does what it bounds.
/// A response that is streamed is not bounded by it.
struct Budgets {
  std::int64_t steps = static_cast<std::int64_t>(Steps::kDefault);
  config::Size response = config::mebibytes(16);
  std::int64_t rows = 50'000;
};
inline constexpr config::Field kBudgetFields[] = {
    config::field<&Budgets::steps>("steps",
                                   "The most steps that the validation of a request may take: about one step for each "
                                   "value, name or branch of a schema that is checked. Beyond it: 400 `too-complex`.",
                                   {0, 1'000'000'000'000}),
    config::field<&Budgets::response>("response", "The most bytes of a response that is not streamed.",
                                      {1024, std::int64_t{1} << 34}),
    config::field<&Budgets::rows>("rows",
                                  "The most rows of a response, those embedded in others included. A list ends early "
                                  "and reports it; anything else is 400 `response-too-large`.",
                                  {0, 1'000'000'000}),
};

/// Those of an operation; an error with the line where they cannot be read. The scopes nest member by member: an
/// operation that gives one budget keeps the others of its path and of the document.
inline Result<Budgets> budgets_of(const contract::Operation& operation) {
  constexpr std::string_view kIgnored[] = {"mode"};
  Budgets budgets;
  const auto* extension = operation.find_extension("budgets");
  if (!extension) return budgets;
  for (const auto* scope : extension->scopes) {
    if (auto read = config::read(*scope, kBudgetFields, &budgets, kIgnored); !read)
      return std::unexpected(std::move(read).error());
    if (budgets.steps < 1) return config::wrong(*scope, "`steps` is at least 1");
    if (budgets.response.bytes < 1024) return config::wrong(*scope, "`response` is at least 1KiB");
    if (budgets.response.bytes > config::mebibytes(1024).bytes)
      return config::wrong(*scope, "`response` is at most 1GiB");
    if (budgets.rows < 1) return config::wrong(*scope, "`rows` is at least 1");
  }
  return budgets;
}

}  // namespace plimsoll
