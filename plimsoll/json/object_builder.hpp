#pragma once

#include "plimsoll/json/value.hpp"

#include <vector>

namespace plimsoll::json {

/// An object under construction. Names are found by hash once there are more than a few, under a seed that callers do
/// not know: `n` members cost O(n), whatever their names.
class ObjectBuilder {
 public:
  /// Where the member stands, or npos.
  std::size_t find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != npos; }
  struct Placed {
    std::size_t place;
    bool added;
  };
  /// Adds a member unless its name is there already; where it stands. The name is not copied.
  Placed add(std::string_view name, Value value);
  /// Room for that many members, so that they are not moved as they become more.
  void reserve(std::size_t members) { members_.reserve(members); }
  Value& at(std::size_t place) { return members_[place].value; }
  std::string_view name(std::size_t place) const { return members_[place].key; }
  std::size_t size() const { return members_.size(); }
  /// The object, its members in the arena.
  Value finish(Arena&) const;

  static constexpr std::size_t npos = ~std::size_t{0};

 private:
  /// Part of the name's hash stands beside the place: other members are not looked at, wherever in memory they are.
  struct Slot {
    std::uint32_t hash = 0, place = 0;  // place + 1; 0: free
  };
  void index();
  std::size_t slot(std::string_view name, std::uint32_t hash) const;
  std::vector<Member> members_;
  std::vector<Slot> slots_;  // open addressing, at most half taken
};

/// Whether a name stands more than once.
bool has_repeated_names(std::span<const Member> members);

}  // namespace plimsoll::json
