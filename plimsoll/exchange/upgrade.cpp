#include "plimsoll/exchange/upgrade.hpp"

#include "plimsoll/contract/contract.hpp"

namespace plimsoll {

bool offers_websocket(const contract::Operation& operation) {
  const auto* upstream = operation.extension("upstream");
  const auto* said = upstream && upstream->is(json::Type::object) ? upstream->find("websocket") : nullptr;
  return said && !(said->is(json::Type::boolean) && !said->boolean());
}

}  // namespace plimsoll
