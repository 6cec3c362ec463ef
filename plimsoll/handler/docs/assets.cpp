#include "plimsoll/handler/docs/assets.hpp"

#include <algorithm>

namespace plimsoll::handler::docs {

// assets() itself is made from page/ by scripts/embed.

const Asset* asset(std::string_view name) {
  const auto found = std::ranges::find(assets(), name.empty() ? "index.html" : name, &Asset::name);
  return found == assets().end() ? nullptr : &*found;
}

}  // namespace plimsoll::handler::docs
