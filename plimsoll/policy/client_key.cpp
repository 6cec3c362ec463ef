#include "plimsoll/policy/client_key.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/config/options.hpp"

namespace plimsoll::policy {
namespace {

struct ClientKey {
  std::uint64_t value;
};

}  // namespace

Result<TrustedProxies> trusted_proxies(const Services& services) {
  const auto* said = services.deployment ? services.deployment->find("trusted-proxies") : nullptr;
  if (said && said->is(json::Type::object)) said = said->find("networks");  // the rest of it is the listener's
  if (!said) return TrustedProxies{};
  auto networks = config::Form<std::vector<std::string>>::read(*said);
  if (!networks) return std::unexpected(std::move(networks).error());
  auto trusted = TrustedProxies::parse(*networks);
  if (!trusted) return config::wrong(*said, "`trusted-proxies`: " + trusted.error().detail);
  return trusted;
}

std::uint64_t client_key(const Request& request, Context& context, const TrustedProxies& trusted) {
  if (const auto* known = context.noted<ClientKey>()) return known->value;
  const auto text = client_address(request, trusted);
  const auto address = Address::parse(text);
  return context.note<ClientKey>(hash64(address ? address->site() : text)).value;
}

}  // namespace plimsoll::policy
