#pragma once

#include "plimsoll/contract/load_errors.hpp"
#include "plimsoll/contract/structure.hpp"
#include "plimsoll/json/pointer.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace plimsoll::contract {

/// std::ranges::contains, which libstdc++ 12 does not have.
template <class Range, class T>
bool contains(const Range& range, const T& value) {
  return std::ranges::find(range, value) != std::ranges::end(range);
}

/// The way from the root to a value, kept on the stack while a document is walked; becomes a pointer when there is
/// something to say.
struct Trail {
  const Trail* up = nullptr;
  Step step{};
  std::string pointer() const {
    if (!up) return {};
    auto text = up->pointer();
    if (!step.field.empty()) json::append_token(text, step.field);
    if (step.index >= 0)
      json::append_token(text, static_cast<std::size_t>(step.index));
    else if (step.key.data())
      json::append_token(text, step.key);
    return text;
  }
};

/// A file the document is made of. Values know theirs by index (json::Value::source); 0 is the document itself.
struct Source {
  std::string file;  ///< as it is named to people
  std::string text;
  json::Value root;
  bool overlay = false;  ///< part of the document itself: references are relative to the document
};
using Sources = std::deque<Source>;

/// Collects complaints, with the place of the value they are about.
class Report {
 public:
  Report(const Sources& sources, Complaints& out) : sources_(sources), out_(out) {}

  void add(const LoadError& error, const json::Value* at, std::string pointer, std::string what = {},
           std::string remedy = {});
  /// At the key rather than at the value.
  void add(const LoadError& error, const json::Member& at, std::string pointer, std::string what = {},
           std::string remedy = {});
  /// Nothing stands at that pointer because its name is misspelt, which has been said.
  void lost(std::string pointer) { lost_.push_back(std::move(pointer)); }
  /// Leaves out what only follows from another complaint, and says what was found several times once.
  void keep_causes();
  /// Has anything been said at that very place? Then what follows from it need not be.
  bool said_at(const json::Value& at) const { return said_.contains(place_of(at)); }
  const Sources& sources() const { return sources_; }

 private:
  using Place = std::tuple<std::uint16_t, std::uint32_t, std::uint32_t>;
  static Place place_of(const json::Value& at) { return {at.source(), at.position().line, at.position().column}; }
  const Sources& sources_;
  Complaints& out_;
  std::size_t counts_[2] = {};  ///< by severity: warnings never leave out an error
  std::set<Place> said_;
  std::vector<std::string> lost_;
};

}  // namespace plimsoll::contract
