#include "plimsoll/json/object_builder.hpp"

#include "plimsoll/base/hash.hpp"

#include <algorithm>
#include <bit>
#include <memory>
#include <utility>

namespace plimsoll::json {
namespace {

constexpr std::size_t kFew = 16;  // that are looked through faster than hashed

std::uint32_t hash_of(std::string_view name) { return static_cast<std::uint32_t>(hash64(name)); }

}  // namespace

std::size_t ObjectBuilder::slot(std::string_view name, std::uint32_t hash) const {
  const auto mask = slots_.size() - 1;
  for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
    const auto& slot = slots_[at];
    if (slot.place == 0 || (slot.hash == hash && members_[slot.place - 1].key == name)) return at;
  }
}

std::size_t ObjectBuilder::find(std::string_view name) const {
  if (slots_.empty()) {
    const auto found = std::ranges::find(members_, name, &Member::key);
    return found == members_.end() ? npos : static_cast<std::size_t>(found - members_.begin());
  }
  const auto place = slots_[slot(name, hash_of(name))].place;
  return place == 0 ? npos : place - 1;
}

void ObjectBuilder::index() {
  const auto before = std::exchange(slots_, {});
  slots_.resize(std::bit_ceil(4 * members_.size()));
  const auto mask = slots_.size() - 1;
  const auto put = [&](Slot moved) {  // names differ
    std::size_t at = moved.hash & mask;
    while (slots_[at].place != 0) at = (at + 1) & mask;
    slots_[at] = moved;
  };
  if (before.empty())
    for (std::uint32_t i = 0; i < members_.size(); ++i) put({hash_of(members_[i].key), i + 1});
  else
    for (const auto& slot : before)
      if (slot.place != 0) put(slot);
}

ObjectBuilder::Placed ObjectBuilder::add(std::string_view name, Value value) {
  const auto place = members_.size();
  if (slots_.empty()) {
    if (const auto there = find(name); there != npos) return {there, false};
    members_.push_back({name, value});
    if (members_.size() > kFew) index();
    return {place, true};
  }
  const auto hash = hash_of(name);
  auto& free = slots_[slot(name, hash)];
  if (free.place != 0) return {free.place - 1, false};
  free = {hash, static_cast<std::uint32_t>(place + 1)};
  members_.push_back({name, value});
  if (2 * members_.size() > slots_.size()) index();
  return {place, true};
}

Value ObjectBuilder::finish(Arena& arena) const {
  auto* kept = arena.array<Member>(members_.size());
  std::uninitialized_copy(members_.begin(), members_.end(), kept);
  return Value::object({kept, members_.size()});
}

bool has_repeated_names(std::span<const Member> members) {
  const auto room = std::bit_ceil(2 * members.size() + 2);
  const auto mask = room - 1;
  struct Seen {
    std::uint32_t hash = 0, place = 0;  // as in the builder
  };
  std::vector<Seen> slots(room);
  for (std::uint32_t i = 0; i < members.size(); ++i) {
    const auto hash = hash_of(members[i].key);
    std::size_t at = hash & mask;
    for (; slots[at].place != 0; at = (at + 1) & mask)
      if (slots[at].hash == hash && members[slots[at].place - 1].key == members[i].key) return true;
    slots[at] = {hash, i + 1};
  }
  return false;
}

}  // namespace plimsoll::json
