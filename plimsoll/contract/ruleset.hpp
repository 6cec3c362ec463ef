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

/// The common subset of a Spectral ruleset: `extends` (files, `spectral:oas`), `rules` with severities and rules of its
/// own, `aliases`. Rules of one's own have `given` (JSONPath as overlays use it, also with `~` at its end), `then` with
/// `field` and one of the functions truthy, falsy, defined, undefined, pattern, length, enumeration, casing, xor and
/// schema, `severity`, `message`, `description`, `formats` and `recommended`. What cannot be read is a finding of the
/// rule `ruleset`, at its place, and the rest is applied.
class Ruleset {
 public:
  /// Complaints when the file is no ruleset at all.
  static std::expected<Ruleset, Complaints> read(const std::string& file);

  /// Findings of the built-in rules with the severities that the ruleset gives them, of its own rules, and what of the
  /// ruleset was not read; in the order of the text.
  std::vector<Finding> lint(const Contract& contract) const;

  Ruleset(Ruleset&&) noexcept;
  ~Ruleset();

 private:
  struct Rules;
  explicit Ruleset(std::unique_ptr<Rules> rules);
  std::unique_ptr<Rules> rules_;
};

}  // namespace plimsoll::contract
