#pragma once

#include "plimsoll/client/balance.hpp"

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace plimsoll::client {

/// Targets of a service that get a share of its callers together: `canary`.
struct Group {
  std::string name{};
  double weight = 1;  ///< 0: no callers of its own
};

/// Which group of targets a caller belongs to: a pure value.
///
/// Groups are chosen as targets of consistent hashing are (`by_hash`), so that one caller stays on one side on every
/// instance, a change of two weights moves only as many callers as their shares have changed, and a group that is gone
/// moves its own callers and no others.
class Split {
 public:
  static constexpr std::size_t kMostGroups = 16;
  /// `of_target`: the group of each target.
  Split(std::vector<Group> groups, std::vector<std::uint32_t> of_target);

  std::size_t size() const noexcept { return groups_.size(); }
  const std::string& name(std::size_t group) const noexcept { return groups_[group].name; }
  std::uint32_t of_target(std::size_t target) const noexcept { return of_target_[target]; }
  std::size_t targets_of(std::size_t group) const noexcept { return sizes_[group]; }

  /// Whether another group than this one has callers.
  bool others_than(std::size_t group) const noexcept {
    for (std::size_t i = 0; i < groups_.size(); ++i)
      if (i != group && groups_[i].weight > 0) return true;
    return false;
  }

  /// Among the groups that have a weight and are `wanted`. Nothing where there is none.
  template <class F>
  std::optional<std::uint32_t> choose(std::uint64_t caller, F&& wanted) const {
    std::array<Choice, kMostGroups> choices;
    std::size_t found = 0;
    for (std::uint32_t i = 0; i < groups_.size(); ++i)
      if (groups_[i].weight > 0 && wanted(i))
        choices[found++] = {.target = i, .weight = groups_[i].weight, .name = hashes_[i]};
    if (found == 0) return std::nullopt;
    return by_hash({choices.data(), found}, caller);
  }

 private:
  std::vector<Group> groups_;
  std::vector<std::uint32_t> of_target_;
  std::vector<std::uint64_t> hashes_;
  std::vector<std::size_t> sizes_;
};

}  // namespace plimsoll::client
