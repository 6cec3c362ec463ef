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

/// The path of the URL without its last slashes: what stands before the target of a request.
std::string_view base_path(const Url& url);
/// Path and query as they are sent: those of the request behind the path of the URL. A view of either, or in the arena
/// of the request's fields.
std::string_view target_text(const Request& request, const Url& url);
/// Reads a body of known length up to 64 KiB into the state of the call, once: it is sent together with the head, and
/// can be signed and sent again. Error: that of the body.
Task<Result<>> hold_body(Request& request, Context& context);

}  // namespace plimsoll::client
