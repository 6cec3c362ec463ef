#pragma once

#include "plimsoll/handler/mock/constraints.hpp"

#include <optional>

namespace plimsoll::handler::mocking {

/// A number within the bounds, of the multiples that are asked for; `whole`: an integer. Nothing where there is none,
/// or none that is found by arithmetic of doubles.
std::optional<json::Value> number(const Constraints& constraints, bool whole, Random& random, Arena& arena);

}  // namespace plimsoll::handler::mocking
