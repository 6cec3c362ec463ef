#include "plimsoll/client/pool.hpp"

namespace plimsoll::client {

Pool::Pool(Loop& loop, std::size_t idle, Nanoseconds idle_for) : loop_(loop), idle_(idle), idle_for_(idle_for) {
  sweep_.pool = this;
  sweep_.ring = [](Alarm& alarm) { static_cast<Sweep&>(alarm).pool->sweep(); };
}

bool Pool::usable(const Connection& connection) const noexcept {
  return loop_.now() - connection.idle_since < idle_for_ && connection.open();
}

std::unique_ptr<Connection> Pool::take(const std::string& origin) {
  const auto found = by_origin_.find(origin);
  if (found == by_origin_.end()) return nullptr;
  std::unique_ptr<Connection> taken;
  while (!taken && !found->second.empty()) {
    auto last = std::move(found->second.back());
    found->second.pop_back();
    --size_;
    if (usable(*last)) taken = std::move(last);
  }
  if (found->second.empty()) by_origin_.erase(found);
  return taken;
}

void Pool::give(const std::string& origin, std::unique_ptr<Connection> connection) {
  if (size_ >= kMostIdle || idle_ == 0) return;
  auto& of_origin = by_origin_[origin];
  if (of_origin.size() >= idle_) return;
  connection->rest();
  connection->idle_since = loop_.now();
  of_origin.push_back(std::move(connection));
  ++size_;
  if (!std::exchange(sweeping_, true)) loop_.wheel().arm(sweep_, loop_.tick_in(idle_for_ / 2));
}

void Pool::sweep() {
  for (auto at = by_origin_.begin(); at != by_origin_.end();) {
    size_ -= std::erase_if(at->second, [this](const auto& connection) { return !usable(*connection); });
    at = at->second.empty() ? by_origin_.erase(at) : std::next(at);
  }
  sweeping_ = size_ > 0;
  if (sweeping_) loop_.wheel().arm(sweep_, loop_.tick_in(idle_for_ / 2));
}

}  // namespace plimsoll::client
