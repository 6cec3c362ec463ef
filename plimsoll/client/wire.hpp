#pragma once

#include "plimsoll/client/connections.hpp"
#include "plimsoll/exchange/policy.hpp"

namespace plimsoll::client {

/// The end of the chain: sends the request over a connection of the loop and receives the head of the answer.
class Wire final : public Handler {
 public:
  explicit Wire(Peer peer) : peer_(std::make_shared<const Peer>(std::move(peer))) {}
  Task<Result<Response>> handle(Request& request, Context& context) override;
  const Peer& peer() const noexcept { return *peer_; }

 private:
  std::shared_ptr<const Peer> peer_;  // with the bodies of answers that are still read
};

}  // namespace plimsoll::client
