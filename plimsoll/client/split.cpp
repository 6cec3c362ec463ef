#include "plimsoll/client/split.hpp"

#include "plimsoll/base/hash.hpp"

namespace plimsoll::client {

Split::Split(std::vector<Group> groups, std::vector<std::uint32_t> of_target)
    : groups_(std::move(groups)), of_target_(std::move(of_target)), sizes_(groups_.size()) {
  for (const auto& group : groups_) hashes_.push_back(content_hash(group.name).low);
  for (const auto group : of_target_) ++sizes_[group];
}

}  // namespace plimsoll::client
