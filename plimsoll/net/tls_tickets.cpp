#include "plimsoll/net/tls_tickets.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

namespace plimsoll::net {
namespace {

constexpr int kSealingShare = 3;  // of the lifetime

void wipe(TicketKey& key) { OPENSSL_cleanse(&key, sizeof key); }

}  // namespace

TicketKeys::~TicketKeys() {
  for (auto& key : keys_) wipe(key);
}

void TicketKeys::forget(Nanoseconds now) {
  const auto ends = lifetime_ + lifetime_ / kSealingShare;
  const auto gone = std::ranges::find_if(keys_, [&](const TicketKey& key) { return now - key.made < ends; });
  for (auto it = keys_.begin(); it != gone; ++it) wipe(*it);
  keys_.erase(keys_.begin(), gone);
}

std::optional<TicketKey> TicketKeys::sealing(Nanoseconds now) {
  std::lock_guard lock(mutex_);
  if (keys_.empty() || now - keys_.back().made >= lifetime_ / kSealingShare) {
    TicketKey key{.made = now};
    if (RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) != 1 ||
        RAND_priv_bytes(key.cipher.data(), static_cast<int>(key.cipher.size())) != 1 ||
        RAND_priv_bytes(key.mac.data(), static_cast<int>(key.mac.size())) != 1)
      return std::nullopt;
    forget(now);
    if (keys_.size() == keys_.capacity()) keys_.reserve(keys_.size() + 8);
    keys_.push_back(key);
  }
  return keys_.back();
}

std::optional<TicketKeys::Opening> TicketKeys::opening(const std::uint8_t* name, Nanoseconds now) {
  std::lock_guard lock(mutex_);
  forget(now);
  for (auto& key : keys_)
    if (CRYPTO_memcmp(key.name.data(), name, key.name.size()) == 0)
      return Opening{key, now - key.made >= lifetime_ / kSealingShare};
  return std::nullopt;
}

std::size_t TicketKeys::held() const {
  std::lock_guard lock(mutex_);
  return keys_.size();
}

}  // namespace plimsoll::net
