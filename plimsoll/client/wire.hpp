#pragma once

#include "plimsoll/client/connections.hpp"
#include "plimsoll/exchange/policy.hpp"

namespace plimsoll::client {

/// The end of the chain: sends the request over a connection of the loop and receives the head of the answer.
class Wire final : public Handler {
 public:
  /// There is at least one peer; `CallState::target` chooses.
  explicit Wire(std::vector<Peer> peers) : peers_(std::make_shared<const std::vector<Peer>>(std::move(peers))) {}
  Task<Result<Response>> handle(Request& request, Context& context) override;
  std::span<const Peer> peers() const noexcept { return *peers_; }

 private:
  std::shared_ptr<const std::vector<Peer>> peers_;  // with the bodies of answers that are still read
};

}  // namespace plimsoll::client
