#include "plimsoll/client/tunnel.hpp"

#include <algorithm>
#include <utility>

namespace plimsoll::client {
namespace {

struct Meter final : Relay::Meter {
  explicit Meter(const TunnelMetrics& metrics) : metrics(metrics) {}
  void moved(bool to_second, std::uint64_t bytes) noexcept override {
    if (auto* counter = to_second ? metrics.received : metrics.sent) counter->add(bytes);
  }
  const TunnelMetrics& metrics;
};

/// The server goes away (RFC 6455, section 7.4.1).
constexpr std::uint16_t kGoingAway = 1001;

std::string_view text_of(Relay::End end) {
  using enum Relay::End;
  switch (end) {
    case both: return "both sides have ended";
    case first_lost: return "the connection of the client broke";
    case second_lost: return "the connection of the service broke";
    case idle: return "idle for too long";
    case stopped: return "the server ends it";
  }
  return {};
}

}  // namespace

Tunnel::Tunnel(Loop& loop, Switched service, Permit permit, const TunnelOptions& options)
    : loop_(loop), service_(std::move(service)), permit_(std::move(permit)), options_(options) {
  if (options_.metrics.open) options_.metrics.open->add(1);
  if (options_.metrics.opened) options_.metrics.opened->add();
}

Tunnel::~Tunnel() {
  if (listed_) options_.all->remove(*this);
  if (options_.metrics.open) options_.metrics.open->add(-1);
}

bool Tunnels::empty() const {
  const std::scoped_lock lock(mutex_);
  return all_.empty();
}

void Tunnels::add(Tunnel& tunnel) {
  const std::scoped_lock lock(mutex_);
  tunnel.at_ = all_.size();
  all_.push_back(&tunnel);
}

void Tunnels::remove(Tunnel& tunnel) noexcept {
  const std::scoped_lock lock(mutex_);
  all_[tunnel.at_] = all_.back();
  all_[tunnel.at_]->at_ = tunnel.at_;
  all_.pop_back();
}

void Tunnels::end() {
  std::vector<Loop*> loops;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto* each : all_)
      if (std::ranges::find(loops, &each->loop_) == loops.end()) loops.push_back(&each->loop_);
  }
  for (auto* loop : loops) loop->post([self = shared_from_this(), loop] { self->end_of(*loop); });
}

/// One that is told to stop goes on at its loop's next turn, so that nothing is removed meanwhile.
void Tunnels::end_of(Loop& loop) {
  const std::scoped_lock lock(mutex_);
  for (auto* each : all_)
    if (&each->loop_ == &loop) {
      each->cut_.why = "the contract it was opened with was replaced too often";
      each->cut_.scope.stop(Stop::deadline);
    }
}

Task<Upgrade::Ended> Tunnel::run(net::Channel& client, std::string early) {
  Meter meter{options_.metrics};
  Relay relay{loop_, client, *service_.channel, options_.idle, &meter};
  relay.to_second().before(early);
  relay.to_first().before(service_.early);
  early = {}, service_.early = {};
  cut_.why = "its lifetime is over";
  cut_.ring = [](Alarm& alarm) { static_cast<Cut&>(alarm).scope.stop(Stop::deadline); };
  if (options_.lifetime > 0) loop_.wheel().arm(cut_, loop_.tick_in(options_.lifetime));
  if (options_.all) {
    options_.all->add(*this);
    listed_ = true;
  }
  relay_ = &relay;
  if (draining_) go_away();
  const auto end = co_await in(cut_.scope, relay.run());
  cut_.disarm();
  // A browser tells its page then that it may connect again; to a client that has not taken what came before, nothing
  // can be said.
  if (end == Relay::End::idle || end == Relay::End::stopped) go_away();
  relay_ = nullptr;
  service_.channel.reset();
  co_return Ended{.client_ended = relay.to_second().ended(),
                  .client_lost = end == Relay::End::first_lost,
                  .service_lost = end == Relay::End::second_lost,
                  .how = cut_.scope.stopped() == Stop::deadline ? cut_.why
                         : draining_                            ? text_of(Relay::End::stopped)
                                                                : text_of(end),
                  .received = relay.to_second().moved(),
                  .sent = relay.to_first().moved()};
}

/// The client is told by a close frame; its own goes on to the service, which ends the connection.
void Tunnel::drain() {
  draining_ = true;
  go_away();
}

void Tunnel::go_away() {
  if (relay_) relay_->to_first().end_with(http::close_frame(kGoingAway, {}));
}

}  // namespace plimsoll::client
