#pragma once

#include "plimsoll/base/clock.hpp"

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace plimsoll::net {

/// What a session ticket is sealed with (RFC 5077, section 4).
struct TicketKey {
  std::array<std::uint8_t, 16> name{};
  std::array<std::uint8_t, 32> cipher{}, mac{};
  Nanoseconds made = 0;  ///< steady
};

/// Keys of session tickets, made anew at a third of the tickets' lifetime: a key seals for that long, still opens until
/// its last ticket has ended, and is then wiped. They never leave the process. Used by all threads.
class TicketKeys {
 public:
  explicit TicketKeys(Nanoseconds lifetime) : lifetime_(lifetime) {}
  ~TicketKeys();
  /// The key that seals now. Nothing when the system gives no randomness.
  std::optional<TicketKey> sealing(Nanoseconds now);
  struct Opening {
    TicketKey key;
    bool renew = false;  ///< it no longer seals: give the caller a new ticket
  };
  std::optional<Opening> opening(const std::uint8_t* name, Nanoseconds now);
  std::size_t held() const;

 private:
  void forget(Nanoseconds now);
  mutable std::mutex mutex_;
  Nanoseconds lifetime_;
  std::vector<TicketKey> keys_;  ///< newest last
};

}  // namespace plimsoll::net
