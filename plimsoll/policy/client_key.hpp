#pragma once

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

}  // namespace plimsoll::policy
