#pragma once

#include "plimsoll/exchange/policy.hpp"

#include <memory>

namespace plimsoll::server {

inline constexpr Problem kNotLearning{
    "not-learning", 404, "This server learns no operations",
    "Write `x-plimsoll: {undeclared: {upstream: {name: NAME, learn: true}}}` in the contract and reload."};

/// `/learned` of the management listener: GET gives a document of operations made from what was forwarded
/// (handler/upstream/learned.hpp), DELETE forgets it.
std::unique_ptr<Handler> learned_page();

}  // namespace plimsoll::server
