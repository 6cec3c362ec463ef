#pragma once

#include "plimsoll/exchange/policy.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll::net {
class Channel;
}
namespace plimsoll::contract {
struct Operation;
}

namespace plimsoll {

/// Another protocol on the connection of an exchange, or on its stream of HTTP/2 (RFC 8441): begins when the answer
/// that accepts it (101, or 200) has been sent. The exchange goes on
/// until it has ended, with all that is kept in it; its deadline is over.
class Upgrade {
 public:
  struct Ended {
    bool client_ended = false, client_lost = false;  ///< it has said that it sends no more; its connection broke
    bool service_lost = false;                       ///< the other side's did
    std::string_view how = {};                       ///< for the log; as long as the exchange
    std::uint64_t received = 0, sent = 0;            ///< bytes of the client, and to it
  };
  virtual ~Upgrade() = default;
  /// `early`: bytes of the client that were read behind its request.
  virtual Task<Ended> run(net::Channel& client, std::string early) = 0;
  /// The server goes down, or closes the listener of the connection: ends soon, in the way of the protocol. By the
  /// loop's thread.
  virtual void drain() = 0;
};

/// Noted in the context by the handler that answers 101.
struct Upgrading {
  std::string_view protocol;  ///< as `Upgrade` has it
  Upgrade& to;
};

/// Noted in the context by what is held for the time of a request alone: called when its connection goes on as another
/// protocol, which may take hours.
struct EndsAtUpgrade {
  void* what;
  void (*end)(void*) noexcept;
};

/// Whether an operation can be answered so: its `upstream` has `websocket`. Known when it is built, so that others pay
/// nothing for it.
bool offers_websocket(const contract::Operation& operation);

}  // namespace plimsoll
