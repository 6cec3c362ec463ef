#include "plimsoll/client/pool.hpp"

namespace plimsoll::client {

Pool::Pool(Loop& loop) : loop_(loop) {
  sweep_.pool = this;
  sweep_.ring = [](Alarm& alarm) { static_cast<Sweep&>(alarm).pool->sweep(); };
}

bool Pool::usable(Connection& connection, bool ask) const noexcept {
  return loop_.now() < connection.idle_until && connection.open(ask);
}

std::unique_ptr<Connection> Pool::take(const std::string& origin, bool ask) {
  const auto found = by_origin_.find(origin);
  if (found == by_origin_.end()) return nullptr;
  std::unique_ptr<Connection> taken;
  while (!taken && !found->second.empty()) {
    auto last = std::move(found->second.back());
    found->second.pop_back();
    --size_;
    if (usable(*last, ask)) taken = std::move(last);
  }
  return taken;
}

void Pool::give(const std::string& origin, std::unique_ptr<Connection> connection, const IdleLimits& limits) {
  if (size_ >= kMostIdle || limits.connections == 0) return;
  auto& of_origin = by_origin_[origin];
  if (of_origin.size() >= limits.connections) return;
  connection->rest();
  connection->idle_until = loop_.now() + limits.time;
  of_origin.push_back(std::move(connection));
  ++size_;
  if (const auto half = limits.time / 2; !sweep_every_ || half < sweep_every_) sweep_in(half);
}

void Pool::sweep_in(Nanoseconds span) {
  sweep_every_ = span;
  loop_.wheel().arm(sweep_, loop_.tick_in(span));
}

void Pool::sweep() {
  for (auto at = by_origin_.begin(); at != by_origin_.end();) {
    size_ -= std::erase_if(at->second, [this](const auto& connection) { return !usable(*connection, true); });
    at = at->second.empty() ? by_origin_.erase(at) : std::next(at);
  }
  if (size_ > 0)
    sweep_in(sweep_every_);
  else
    sweep_every_ = 0;
}

}  // namespace plimsoll::client
