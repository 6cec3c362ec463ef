#include "plimsoll/contract/resolved.hpp"

namespace plimsoll::contract {

using json::Type;
using json::Value;

Resolved::Resolved(const Contract& contract, References references)
    : contract_(contract), references_(references), positioned_(contract.root->position().line != 0) {
  auto [value, origin] = make(*contract.root, 0);
  root_ = value;
  origins_.emplace(&root_, origin);
}

Resolved::Made Resolved::make(const Value& raw, int depth) {
  if (!raw.is(Type::object) && !raw.is(Type::array)) return {raw, &raw};
  const auto* ref = raw.find("$ref");
  const auto& target =
      ref && ref->is(Type::string) && references_ == References::replaced ? contract_.resolve(raw) : raw;
  if (&target != &raw) {
    if (within_.contains(&target) || depth > kDeepest) return {raw, &raw};
    auto made = make(target, depth + 1);
    if (raw.object().size() > 1) made.origin = &raw;  // it says something of its own
    return made;
  }
  if (const auto known = made_.find(&raw); known != made_.end()) return {known->second, &raw};
  within_.insert(&raw);
  Value value = raw;
  std::size_t count = 0;
  if (raw.is(Type::array)) {
    auto* items = arena_.array<Value>(raw.array().size());
    for (const auto& each : raw.array()) {
      if (!is_written(each)) continue;
      auto [item, origin] = make(each, depth + 1);
      items[count] = item;
      origins_.emplace(&items[count++], origin);
    }
    value = Value::array({items, count});
  } else {
    auto* members = arena_.array<json::Member>(raw.object().size());
    for (const auto& each : raw.object()) {
      if (!is_written(each.value)) continue;
      auto [part, origin] = make(each.value, depth + 1);
      members[count] = {each.key, part, each.at};
      origins_.emplace(&members[count++].value, origin);
    }
    value = Value::object({members, count});
  }
  value.set_position(raw.position());
  value.set_source(raw.source());
  within_.erase(&raw);
  made_.emplace(&raw, value);
  return {value, &raw};
}

}  // namespace plimsoll::contract
