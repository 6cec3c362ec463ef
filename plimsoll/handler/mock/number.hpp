#pragma once

#include "plimsoll/handler/mock/asked.hpp"

#include <optional>

namespace plimsoll::handler::mocking {

/// A number within the bounds asked, of the multiples asked; `whole`: an integer. Nothing where there is none, or none
/// that is found by arithmetic of doubles.
std::optional<json::Value> number(const Asked& asked, bool whole, Random& random, Arena& arena);

}  // namespace plimsoll::handler::mocking
