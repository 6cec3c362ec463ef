#pragma once

#include "plimsoll/base/hash.hpp"
#include "plimsoll/exchange/context.hpp"

namespace plimsoll::policy {

/// A hash of where the client is (its address, IPv6 by /64): what limits by address count by. Found once per exchange.
/// The address is the peer's as the edge has found it: who stands behind trusted proxies is decided there, once, and no
/// header is looked at again.
std::uint64_t client_key(const Request&, Context&);

/// Two hashes into one.
constexpr std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15ULL) * (b | 1);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^ b;
}

/// A hash of who the caller is: tenant, scheme and subject. Subjects are unique within a tenant and a scheme only.
inline std::uint64_t caller_key(const Principal& caller) {
  const auto key = mixed(hash64(caller.subject), hash64(caller.scheme));
  return caller.tenant.empty() ? key : mixed(key, hash64(caller.tenant));
}

}  // namespace plimsoll::policy
