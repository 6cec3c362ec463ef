#include "plimsoll/contract/ruleset.hpp"

#include "apps/plimsoll/commands.hpp"
#include "plimsoll/server/instance.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>
#include <cstdio>
#include <optional>

namespace plimsoll::command {
namespace {

constexpr int kNotWhole = 3;  ///< the contract passes, and parts of the ruleset were not read

struct Wishes {
  std::string contract, format = "text", fail_on = "error", ruleset;
  std::vector<std::string> overlays;
  bool strict = false;
};

int run(const Wishes& wishes) {
  std::vector<contract::Finding> findings;
  std::optional<contract::Ruleset> ruleset;
  if (!wishes.ruleset.empty()) {
    auto read = contract::Ruleset::read(wishes.ruleset, wishes.contract);
    if (!read) return complain(read.error());
    ruleset.emplace(std::move(*read));
  }
  if (const auto loaded = server::load_contract(wishes.contract, wishes.overlays, !wishes.strict))
    findings = ruleset ? ruleset->lint(**loaded) : contract::lint(**loaded);
  else
    findings = contract::findings_of(loaded.error());
  const auto text = wishes.format == "json"    ? contract::to_json(findings)
                    : wishes.format == "sarif" ? contract::to_sarif(findings, PLIMSOLL_VERSION)
                                               : contract::to_text(findings, contract::Printer(STDOUT_FILENO));
  std::fwrite(text.data(), 1, text.size(), stdout);
  using Severity = contract::LintRule::Severity;
  const auto worst = wishes.fail_on == "warning" ? Severity::warning : Severity::error;
  if (wishes.fail_on == "never") return 0;
  for (auto& finding : findings)
    if (finding.severity <= worst && finding.rule != contract::kRulesetRule) return 1;
  return ruleset && !ruleset->is_whole() ? kNotWhole : 0;
}

Subcommand::Run declare(CLI::App& app) {
  auto wishes = std::make_shared<Wishes>();
  app.add_option("CONTRACT", wishes->contract, "OpenAPI document, YAML or JSON")->required();
  app.add_option("--overlay", wishes->overlays, "Overlay applied to the document; may be repeated");
  app.add_option("--ruleset", wishes->ruleset, "Spectral ruleset: severities, and rules of your own")
      ->type_name("FILE");
  app.add_flag("--strict", wishes->strict,
               "Stop at faults, as `serve` does; without it faults are reported and the rest is linted");
  app.add_option("--format", wishes->format, "text, json, or sarif")->check(CLI::IsMember({"text", "json", "sarif"}));
  app.add_option("--fail-on", wishes->fail_on, "Findings for which the exit status is 1: error, warning, or never")
      ->check(CLI::IsMember({"error", "warning", "never"}));
  return [wishes] { return run(*wishes); };
}

const Subcommand lint{"lint", "Checks a contract for errors and for style, with places and remedies", declare};

}  // namespace
}  // namespace plimsoll::command
