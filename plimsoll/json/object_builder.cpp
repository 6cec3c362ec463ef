#include "plimsoll/json/object_builder.hpp"

#include "plimsoll/base/hash.hpp"

#include <algorithm>
#include <bit>
#include <memory>

namespace plimsoll::json {
namespace {

constexpr std::size_t kFew = 16;  // that are looked through faster than hashed

}  // namespace

std::size_t ObjectBuilder::slot(std::string_view name) const {
  const auto mask = slots_.size() - 1;
  for (auto at = hash64(name) & mask;; at = (at + 1) & mask)
    if (slots_[at] == 0 || members_[slots_[at] - 1].key == name) return at;
}

std::size_t ObjectBuilder::find(std::string_view name) const {
  if (slots_.empty()) {
    const auto found = std::ranges::find(members_, name, &Member::key);
    return found == members_.end() ? npos : static_cast<std::size_t>(found - members_.begin());
  }
  const auto place = slots_[slot(name)];
  return place == 0 ? npos : place - 1;
}

void ObjectBuilder::index() {
  slots_.assign(std::bit_ceil(4 * members_.size()), 0);
  for (std::uint32_t i = 0; i < members_.size(); ++i) slots_[slot(members_[i].key)] = i + 1;
}

std::size_t ObjectBuilder::add(std::string_view name, Value value) {
  const auto place = members_.size();
  members_.push_back({name, value});
  if (slots_.empty() ? members_.size() > kFew : 2 * members_.size() > slots_.size())
    index();
  else if (!slots_.empty())
    slots_[slot(name)] = static_cast<std::uint32_t>(place + 1);
  return place;
}

Value ObjectBuilder::finish(Arena& arena) const {
  auto* kept = arena.array<Member>(members_.size());
  std::uninitialized_copy(members_.begin(), members_.end(), kept);
  return Value::object({kept, members_.size()});
}

bool has_repeated_names(std::span<const Member> members) {
  const auto room = std::bit_ceil(2 * members.size() + 2);
  const auto mask = room - 1;
  std::vector<std::uint32_t> slots(room);
  for (std::uint32_t i = 0; i < members.size(); ++i) {
    auto at = hash64(members[i].key) & mask;
    for (; slots[at] != 0; at = (at + 1) & mask)
      if (members[slots[at] - 1].key == members[i].key) return true;
    slots[at] = i + 1;
  }
  return false;
}

}  // namespace plimsoll::json
