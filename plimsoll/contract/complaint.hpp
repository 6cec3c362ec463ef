#pragma once

#include "plimsoll/contract/contract.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::contract {

/// Whether colour is wanted on that descriptor: a terminal, and nobody has said NO_COLOR.
bool wants_colour(int descriptor);

inline constexpr std::size_t kMostComplaints = 500;  ///< of each severity that the reading of one document collects
inline constexpr std::size_t kMostShown = 50;        ///< of each severity that is printed

/// The first of each severity, in their order, and a line about those that are left out; empty: none is.
struct Shown {
  std::vector<const Complaint*> some;
  std::string rest;
};
Shown shown(const Complaints& all);

/// Writes complaints of all kinds in one shape, each with the line it is about:
///
///     shop.yaml:14:30: error[broken-reference]: the reference "#/components/schemas/Ordr" cannot be resolved
///        14 |         schema: {$ref: '#/components/schemas/Ordr'}
///           |                        ^
///       at /paths/~1orders/get/…
///       help: Correct the `$ref`, or add what it names.
class Printer {
 public:
  struct Look {
    bool excerpts = true, colour = false;
  };
  Printer() = default;
  explicit Printer(Look look) : look_(look) {}
  /// For what goes to that descriptor.
  explicit Printer(int descriptor) : look_{.colour = wants_colour(descriptor)} {}

  /// `severity`: error, warning, info. What is empty is left out.
  std::string text(std::string_view severity, const Complaint&);
  std::string text(const Complaint&);
  /// Those that are shown of them.
  std::string text(const Complaints&);

 private:
  struct File {
    std::string text;
    std::vector<std::size_t> lines;  ///< where each begins
  };
  static std::optional<File> read(const std::string& path);
  /// The line with a mark below it; empty where there is none to show. A line that may hold a secret is none.
  std::string excerpt(const std::string& file, json::Position at);

  Look look_;
  std::map<std::string, std::optional<File>> files_;
};

/// All of them on standard error.
void print(const Complaints&);

}  // namespace plimsoll::contract
