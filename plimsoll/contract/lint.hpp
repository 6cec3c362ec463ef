#pragma once

#include "plimsoll/contract/complaint.hpp"

#include <span>
#include <string>
#include <vector>

namespace plimsoll::contract {

/// Something a contract should do better: a fault, or what an API in production owes its callers.
struct LintRule {
  enum class Severity : std::uint8_t { error, warning, info };
  std::string_view id;  ///< kebab-case
  Severity severity;
  std::string_view sentence;  ///< what is asked for
  std::string_view remedy;
};
/// All rules, in one table.
std::span<const LintRule> lint_rules();

struct Finding {
  std::string rule;  ///< of lint_rules, or the code of a load error
  LintRule::Severity severity;
  std::string file;
  json::Position at;
  std::string pointer, message, remedy;
};

/// Findings of a contract that loads, in the order of the text; its warnings are among them.
std::vector<Finding> lint(const Contract& contract);
/// Complaints of the loader as findings.
std::vector<Finding> findings_of(const Complaints& complaints);

std::string to_text(std::span<const Finding> findings, Printer printer = {});
std::string to_json(std::span<const Finding> findings);
/// SARIF 2.1.0, for code scanning services.
std::string to_sarif(std::span<const Finding> findings, std::string_view version);

}  // namespace plimsoll::contract
