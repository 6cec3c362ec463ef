#pragma once

#include "plimsoll/base/problem.hpp"

#include <string>
#include <vector>

namespace plimsoll::server {

/// Every problem this server can answer with: the house's own and those of all parts, each once, by code.
std::vector<const Problem*> all_problems();

/// The page under /problems/<code>: what it means and what to do.
std::string problem_page(const Problem&);
/// The page under /problems: all of them.
std::string problem_index();

}  // namespace plimsoll::server
