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
  const std::scoped_lock lock(fills_->mutex_);
  auto& first = fills_->loops_[&loop].first;
  next_ = std::exchange(first, this);
  if (next_) next_->previous_ = this;
}

Fills::Entry::~Entry() {
  if (!fills_) return;
  bool last = false;
  OfLoop* here = nullptr;
  {
    const std::scoped_lock lock(fills_->mutex_);
    here = &fills_->loops_.find(&loop_)->second;
    (previous_ ? previous_->next_ : here->first) = next_;
    if (next_) next_->previous_ = previous_;
    last = !here->first && here->waits;
  }
  if (last) here->waiting.stop(Stop::drain);  // the loop need not wait for it
}

/// On the loop of those it ends.
Task<> Fills::end(Loop& loop, Nanoseconds at, std::shared_ptr<const void>) {
  (void)co_await pause(loop, std::max<Nanoseconds>(at - loop.now(), 0));
  for (Scope* scope = nullptr;; scope->stop(Stop::drain)) {  // each may end at once, and leave the list
    const std::scoped_lock lock(mutex_);
    const auto* entry = loops_.find(&loop)->second.first;
    while (entry && entry->scope_.stopped() != Stop::none) entry = entry->next_;
    if (!entry) co_return;
    scope = &entry->scope_;
  }
}

void Fills::drain(std::int64_t grace) noexcept {
  const std::scoped_lock lock(mutex_);
  for (auto& [loop, here] : loops_) {
    if (!here.first) continue;
    for (;;) try {
        loop->post([this, loop, here = &here, at = system_clock().steady() + grace, in_use = in_use_.lock()] {
          if (!here->first) return;
          if (std::exchange(here->waits, true)) {
            if (loop->now() >= at) here->waiting.stop(Stop::drain);  // it has less time now
            return;
          }
          try {
            loop->spawn(here->waiting, end(*loop, at, in_use));
          } catch (const std::bad_alloc&) { here->waits = false; }  // the end of the process is bounded all the same
        });
        break;
      } catch (const std::bad_alloc&) { rest_of_memory(); }
  }
}

}  // namespace plimsoll
