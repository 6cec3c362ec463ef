#pragma once

#include "plimsoll/json/write.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::policy {

/// A tree of field names; one without children stands for all that is below it.
struct Selection {
  std::string name;
  std::vector<Selection> children;
};

/// Reads `id,name,items(sku,price(amount))`; nothing when it is malformed, deeper than 8 or longer than 256 names.
std::optional<std::vector<Selection>> parse_fields(std::string_view text);

/// Writes of an object only what is selected, of an array each item so. A page (an object whose `data` is an array) is
/// kept, and the selection is of its items.
void write_selected(json::Writer& out, const json::Value& value, const std::vector<Selection>& selection);

}  // namespace plimsoll::policy
