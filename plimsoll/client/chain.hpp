#pragma once

#include "plimsoll/client/part.hpp"

#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace plimsoll::client {

/// A part's place in the order, and the reason for it.
struct Row {
  const Part* part;
  std::string_view why;
};
std::span<const Row> rows();
/// The keys of all parts, which stand beside those of whoever calls.
std::span<const std::string_view> keys();

/// The policies around the calls of one service. `Next{links.data()}` is the first.
struct Plan {
  std::vector<std::unique_ptr<Policy>> policies;
  std::vector<Link> links;
};
/// `options`: an object with the keys of parts, or null; `wire` sends the request and outlives the plan. `outermost`
/// stands around all of them; null: nothing does.
Result<Plan> plan(Handler& wire, const json::Value* options, Build build, std::unique_ptr<Policy> outermost = nullptr);

}  // namespace plimsoll::client
