#pragma once

#include "plimsoll/contract/structure.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/value.hpp"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace plimsoll::contract {

/// Calls `use(method, pointer, operation)` for each operation of a path item, those under `additionalOperations` too:
/// the method as requests have it, and where the operation stands within the item.
template <class Item, class Use>
void for_each_operation(Item& item, const Use& use) {
  if (!item.is(json::Type::object)) return;
  for (auto& member : item.object()) {
    if (!member.value.is(json::Type::object)) continue;
    const auto pointer = "/" + std::string(member.key);
    if (member.key == "additionalOperations") {
      for (auto& other : member.value.object()) {
        auto place = pointer;
        json::append_token(place, other.key);
        if (other.value.is(json::Type::object)) use(std::string(other.key), place, other.value);
      }
    } else if (std::ranges::find(kMethodFields, member.key) != std::end(kMethodFields)) {
      std::string method(member.key);
      std::ranges::transform(method, method.begin(), [](unsigned char c) { return std::toupper(c); });
      use(std::move(method), pointer, member.value);
    }
  }
}

}  // namespace plimsoll::contract
