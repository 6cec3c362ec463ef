#include "plimsoll/exchange/cache/fills.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/out_of_memory.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace plimsoll {

void Fills::keep_account(const Services& services) {
  if (!services.backgrounds) return;
  const auto kept = services.of_generation->of<OfGeneration>();
  if (kept->fills) return;
  auto made = std::make_unique<Fills>();
  made->in_use_ = services.in_use;
  kept->fills = made.get();
  services.backgrounds->add(std::move(made));
}

Fills::Entry::Entry(const Services& services, Loop& loop, Scope& scope)
    : fills_(services.of_generation->of<OfGeneration>()->fills), loop_(loop), scope_(scope) {
  if (!fills_) return;
  {
    const std::scoped_lock lock(fills_->mutex_);
    auto& first = fills_->loops_[&loop].first;
    next_ = std::exchange(first, this);
    if (next_) next_->previous_ = this;
    if (fills_->ends_at_ == 0) return;
  }
  try {
    fills_->begin_to_end(loop);
  } catch (const std::bad_alloc&) {}  // the end of the process is bounded all the same
}

Fills::Entry::~Entry() {
  if (!fills_) return;
  OfLoop* here = nullptr;
  {
    const std::scoped_lock lock(fills_->mutex_);
    here = &fills_->loops_.find(&loop_)->second;
    (previous_ ? previous_->next_ : here->first) = next_;
    if (next_) next_->previous_ = previous_;
  }
  if (!here->first && here->looks) here->looking->stop(Stop::drain);  // the loop need not wait for it
}

/// At the next turn of the loop: who waits for a fill that is begun now does so then.
void Fills::begin_to_end(Loop& loop) {
  loop.post([this, &loop, in_use = in_use_.lock()] {
    const auto here = [&] {
      const std::scoped_lock lock(mutex_);
      return &loops_[&loop];
    }();
    if (!here->first || here->looks) return;
    here->looking.emplace();
    try {
      loop.spawn(*here->looking, end(loop, *here, in_use));
      here->looks = true;
    } catch (const std::bad_alloc&) {}
  });
}

/// On the loop of those it ends.
Task<> Fills::end(Loop& loop, OfLoop& here, std::shared_ptr<const void>) {
  constexpr auto kLook = 50 * kMillisecond;
  for (bool rested = true; rested && here.first;) {
    const auto left = ends_at_ - loop.now();
    stop_some(here, left <= 0);
    if (here.first) rested = co_await pause(loop, left <= 0 ? kLook : std::min(left, kLook));
  }
  here.looks = false;
}

/// Each may end at once, and leave the list.
void Fills::stop_some(OfLoop& here, bool all) {
  for (;;) {
    auto* entry = here.first;
    while (entry && (entry->scope_.stopped() != Stop::none || (!all && entry->awaited()))) entry = entry->next_;
    if (!entry) return;
    entry->scope_.stop(Stop::drain);
  }
}

void Fills::drain(std::int64_t grace) noexcept {
  const std::scoped_lock lock(mutex_);
  ends_at_ = system_clock().steady() + grace;
  for (auto& [loop, here] : loops_) {
    if (!here.first) continue;
    for (;;) try {
        begin_to_end(*loop);
        break;
      } catch (const std::bad_alloc&) { rest_of_memory(); }
  }
}

}  // namespace plimsoll
