#include "plimsoll/policy/client_key.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/http/client_address.hpp"

namespace plimsoll::policy {
namespace {

struct ClientKey {
  std::uint64_t value;
};

}  // namespace

std::uint64_t client_key(const Request& request, Context& context) {
  if (const auto* known = context.noted<ClientKey>()) return known->value;
  const auto text = request.peer.address;
  const auto address = Address::parse(text);
  return context.note<ClientKey>(hash64(address ? address->site() : text)).value;
}

}  // namespace plimsoll::policy
