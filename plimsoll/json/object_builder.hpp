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
  /// Adds a member, whose name must not be there yet; where it stands. The name is not copied.
  std::size_t add(std::string_view name, Value value);
  Value& at(std::size_t place) { return members_[place].value; }
  std::string_view name(std::size_t place) const { return members_[place].key; }
  std::size_t size() const { return members_.size(); }
  /// The object, its members in the arena.
  Value finish(Arena&) const;

  static constexpr std::size_t npos = ~std::size_t{0};

 private:
  void index();
  std::size_t slot(std::string_view name) const;
  std::vector<Member> members_;
  std::vector<std::uint32_t> slots_;  // open addressing, at most half taken: a member's place + 1
};

/// Whether a name stands more than once.
bool has_repeated_names(std::span<const Member> members);

}  // namespace plimsoll::json
