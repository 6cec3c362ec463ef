#pragma once

#include "plimsoll/contract/router.hpp"

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract {

/// A path as the most lenient of servers reads it: percent-decoded as often as it can be, in small letters, `\` as `/`,
/// without what follows `;`, `?` and `#`, without blanks and dots at the end of a segment, and without empty segments.
/// Of other alphabets it has what Unicode takes for the same (NFKC_Casefold): the Kelvin sign is a `k`, letters in full
/// width are plain ones, and what has no width is not there.
/// Null: it has dot segments, controls or what is not UTF-8, encoded or not, so that nobody can say where it leads.
std::optional<std::string> fold_path(std::string_view path);
/// The template of a path with its literals folded alike: `/Orders/{id}/` is `/orders/{0}`. Null where there is none.
std::optional<std::string> fold_template(std::string_view path);

/// Which paths a server behind may take for one that the contract declares, although the contract's router does not:
/// `/orders//5`, `/x/%2e%2e/orders/5`, `/ORDERS/5;a`. What goes to a server behind without being declared must be none
/// of them: it would pass by all that the contract demands of the declared path.
class Lookalikes {
 public:
  /// The template of a declared path, with its base path.
  void add(std::string_view path);
  /// Once all are added.
  void finish() { router_.finish(); }
  /// Whether the path may be taken for a declared one.
  bool has(std::string_view path) const;

 private:
  Router router_;
  Operation any_{};
};

}  // namespace plimsoll::contract
