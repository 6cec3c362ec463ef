#pragma once

#include "plimsoll/contract/lint.hpp"
#include "plimsoll/contract/load_errors.hpp"

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace plimsoll::contract {

/// The rule of findings about the ruleset itself.
inline constexpr std::string_view kRulesetRule = "ruleset";

/// The common subset of a Spectral ruleset: `extends` (files, `spectral:oas`), `aliases`, `formats`, `rules` with
/// severities and rules of its own, and `overrides`. Rules of one's own have `given` (JsonPath::Syntax::script, also
/// with `~` at its end), `then` with `field` and a function (ruleset_function.cpp), `severity`, `message`,
/// `description`, `documentationUrl`, `formats`, `recommended` and `resolved`. What cannot be read is a finding of the
/// rule `ruleset`, at its place, and the rest is applied.
class Ruleset {
 public:
  /// Complaints when the file is no ruleset at all. `contract` is the file that will be linted, for `overrides`.
  static std::expected<Ruleset, Complaints> read(const std::string& file, const std::string& contract = {});

  /// Findings of the built-in rules with the severities that the ruleset gives them, of its own rules, and what of the
  /// ruleset was not read; in the order of the text.
  std::vector<Finding> lint(const Contract& contract) const;

  /// Whether everything in the ruleset was read.
  bool is_whole() const;

  Ruleset(Ruleset&&) noexcept;
  ~Ruleset();

 private:
  struct Rules;
  explicit Ruleset(std::unique_ptr<Rules> rules);
  std::unique_ptr<Rules> rules_;
};

}  // namespace plimsoll::contract
