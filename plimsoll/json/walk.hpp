#pragma once

#include "plimsoll/json/value.hpp"

#include <vector>

namespace plimsoll::json {

/// Whether `whole`, or a value at any depth in it, satisfies `is`.
template <class Predicate>
bool any_value(const Value& whole, Predicate is) {
  std::vector<const Value*> open{&whole};
  while (!open.empty()) {
    const auto* value = open.back();
    open.pop_back();
    if (is(*value)) return true;
    for (const auto& member : value->object()) open.push_back(&member.value);
    for (const auto& item : value->array()) open.push_back(&item);
  }
  return false;
}

}  // namespace plimsoll::json
