#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"

namespace plimsoll {

/// `budgets` of the contract: what one exchange may cost. A response that is streamed is not bounded by it.
struct Budgets {
  config::Size response = config::mebibytes(16);
  std::int64_t rows = 50'000;
};
inline constexpr config::Field kBudgetFields[] = {
    config::field<&Budgets::response>("response", "The most bytes of a response that is not streamed."),
    config::field<&Budgets::rows>("rows",
                                  "The most rows of a response, those embedded in others included. A list ends early "
                                  "and says so; anything else is 400 `response-too-large`."),
};
inline constexpr config::Key kBudgets{"budgets", "What one exchange may cost.", kBudgetFields, []() -> const void* {
                                        static const Budgets defaults{};
                                        return &defaults;
                                      }};

/// Those of an operation; an error with the line where they cannot be read.
inline Result<Budgets> budgets_of(const contract::Operation& operation) {
  Budgets budgets;
  const auto* said = operation.extension(kBudgets.name);
  if (!said) return budgets;
  if (auto read = config::read(*said, kBudgetFields, &budgets); !read) return std::unexpected(std::move(read).error());
  if (budgets.response.bytes < 1024) return config::wrong(*said, "`response` is at least 1KiB");
  if (budgets.response.bytes > config::mebibytes(1024).bytes) return config::wrong(*said, "`response` is at most 1GiB");
  if (budgets.rows < 1) return config::wrong(*said, "`rows` is at least 1");
  return budgets;
}

}  // namespace plimsoll
