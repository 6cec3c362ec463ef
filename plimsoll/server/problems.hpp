#pragma once

#include "plimsoll/base/problem.hpp"

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace plimsoll::telemetry {
class Counter;
class Registry;
}  // namespace plimsoll::telemetry

namespace plimsoll::server {

/// A problem and who tells it.
struct ProblemEntry {
  const Problem* problem;
  std::vector<std::string_view> policies;  ///< by their keys
  std::vector<std::string_view> handlers;  ///< `table`, `job`, …; a problem of neither is of the server as a whole
};
/// The table of problems: every one this server can tell, the house's own and those of all parts, each once, by code.
/// `more`: those of the handlers in C++ of a program.
std::vector<ProblemEntry> problem_table(std::span<const Problem* const> more = {});

/// Counts answers by the problem they tell. Every problem of the table is there from the beginning, at zero.
class ProblemCounts {
 public:
  explicit ProblemCounts(telemetry::Registry* registry);
  void add(std::string_view code) noexcept;

 private:
  telemetry::Registry* registry_;
  std::unordered_map<std::string_view, telemetry::Counter*> counters_;  ///< by code
};

/// The page under /problems/<code>: what it means and what to do.
std::string problem_page(const ProblemEntry&);
/// The page under /problems: all of them.
std::string problem_index(std::span<const ProblemEntry>);

}  // namespace plimsoll::server
