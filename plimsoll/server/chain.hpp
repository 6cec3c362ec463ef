#pragma once

#include "plimsoll/exchange/part.hpp"

namespace plimsoll::server {

struct Row {
  const Part* part;
  std::string_view why_here;
};
std::span<const Row> rows();

/// One operation's chain: the links of those policies that have something to do for it, in the written order.
struct Plan {
  std::vector<std::unique_ptr<Policy>> policies;
  std::vector<Link> links;
};
Result<Plan> plan(Handler& handler, const Build& build);

}  // namespace plimsoll::server
