#include "plimsoll/policy/rate_limit/client_key.hpp"

#include "plimsoll/http/client_address.hpp"

namespace plimsoll::policy {
namespace {

struct ClientKey {
  std::uint64_t value;
};

}  // namespace

std::uint64_t client_key(const Request& request, Context& context) {
  if (request.peer.site) return request.peer.site;  // of the connection
  if (const auto* known = context.noted<ClientKey>()) return known->value;
  return context.note<ClientKey>(site_key(request.peer.address)).value;
}

}  // namespace plimsoll::policy
