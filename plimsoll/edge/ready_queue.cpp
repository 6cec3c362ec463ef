#include "plimsoll/edge/ready_queue.hpp"

#include "plimsoll/http/client_address.hpp"

#include <utility>

namespace plimsoll::edge {
namespace {

/// The clock is read after each that takes long, and seldom where many take little.
constexpr unsigned kBetweenLooks = 8;
constexpr Nanoseconds kLong = 20'000;

}  // namespace

ReadyQueue::ReadyQueue(Loop& loop, WaitingEverywhere& everywhere) : loop_(loop), everywhere_(everywhere) {
  run = [](Work& work) { return static_cast<ReadyQueue&>(work).round(); };
}

void ReadyQueue::List::add(Turn& turn) noexcept {
  turn.older_ = newest;
  turn.newer_ = nullptr;
  (newest ? newest->newer_ : oldest) = &turn;
  newest = &turn;
  ++size;
}

void ReadyQueue::List::remove(Turn& turn) noexcept {
  (turn.older_ ? turn.older_->newer_ : oldest) = turn.newer_;
  (turn.newer_ ? turn.newer_->older_ : newest) = turn.older_;
  --size;
}

/// The first of a turn of the loop need not see what else there is, and neither need those soon after it. The turn ends
/// with the round.
bool ReadyQueue::at_once() noexcept {
  if (size_ > 0 || working_) return false;
  if (caught_up_) {
    caught_up_ = false;
    turn_ = loop_.now();
    loop_.begin(*this);
    return true;
  }
  return system_clock().steady() - turn_ < kAtOnce;
}

void ReadyQueue::wait(Turn& turn) noexcept {
  turn.since_ = loop_.now();
  lists_[turn.place_].add(turn);
  ++size_;
  if (!working_) loop_.begin(*this);
}

std::size_t ReadyQueue::Turn::cohort(Nanoseconds now) const noexcept {
  const auto site = peer_->site ? peer_->site : site_key(peer_->address);
  const auto mixed = (site ^ static_cast<std::uint64_t>(now / kCohortTime)) * 0x9e3779b97f4a7c15;
  return mixed >> 57;  // 7 bits: kCohorts
}

void ReadyQueue::refuse(List& list, Turn& turn) noexcept {
  list.remove(turn);
  turn.context_->admission.refused = true;
  lists_[refused].add(turn);
}

/// Refuses so many of them: those of the lowest cohorts, of the last of these the oldest.
void ReadyQueue::refuse_least(List& list, std::size_t excess, Nanoseconds now) noexcept {
  std::array<std::size_t, kCohorts> sizes{};
  for (auto* turn = list.oldest; turn; turn = turn->newer_) ++sizes[turn->cohort(now)];
  std::size_t threshold = 0, whole = 0;
  while (threshold + 1 < kCohorts && whole + sizes[threshold] <= excess) whole += sizes[threshold++];
  auto partly = excess - whole;
  for (auto* turn = list.oldest; turn;) {
    auto* newer = turn->newer_;
    const auto cohort = turn->cohort(now);
    if (cohort < threshold)
      refuse(list, *turn);
    else if (cohort == threshold && partly > 0)
      refuse(list, *turn), --partly;
    turn = newer;
  }
}

void ReadyQueue::refuse_excess(Nanoseconds now) noexcept {
  Nanoseconds longest = 0, longest_critical = 0;
  std::size_t waiting = 0;
  for (const auto place : {critical, normal, sheddable}) {
    const auto& list = lists_[place];
    waiting += list.size;
    if (list.oldest) longest = std::max(longest, now - list.oldest->since_);
    if (place == critical) longest_critical = longest;
  }
  const auto verdict = overload_.look(now, longest, longest_critical);
  newest_first_ = verdict.newest_first;
  critical_too_ = verdict.critical_too;
  if (!newest_first_) return;
  for (const auto place : {critical, normal, sheddable}) {
    if (place == critical && !verdict.critical_too) continue;
    // What is critical is begun first: where it waits all the same, the longer time holds.
    const auto bound = place == critical ? StandingQueue::kInterval : verdict.longest_wait;
    auto& list = lists_[place];
    while (list.oldest && now - list.oldest->since_ > bound) {
      refuse(list, *list.oldest);
      --waiting;
    }
  }
  for (const auto place : {sheddable, normal, critical}) {
    if (waiting <= verdict.at_most) break;
    if (place == critical && !verdict.critical_too) break;
    auto& list = lists_[place];
    const auto excess = std::min(waiting - verdict.at_most, list.size);
    if (excess > 0) refuse_least(list, excess, now);
    waiting -= excess;
  }
}

ReadyQueue::Turn* ReadyQueue::next(bool but_refused) noexcept {
  for (std::size_t i = first; i < kPlaces; ++i) {
    // Refusals keep nothing critical waiting, unless they are for what is critical itself.
    const auto place = i == refused && !critical_too_ && lists_[critical].size > 0 ? std::size_t{critical} : i;
    auto& list = lists_[place];
    auto* turn = newest_first_ && place >= critical ? list.newest : list.oldest;
    if (!turn || (place == refused && but_refused)) continue;
    list.remove(*turn);
    --size_;
    return turn;
  }
  return nullptr;
}

/// Those of all loops that are as important or more, without this one.
std::int64_t ReadyQueue::ahead_of(Place place) const noexcept {
  std::int64_t sum = 0;
  for (std::size_t i = 0; critical + i <= place; ++i)
    sum += static_cast<std::int64_t>(lists_[critical + i].size) - published_[i] +
           everywhere_.count[i].load(std::memory_order_relaxed);
  return sum;
}

void ReadyQueue::publish() noexcept {
  for (std::size_t i = 0; i < published_.size(); ++i) {
    const auto size = static_cast<std::int64_t>(lists_[critical + i].size);
    if (size == published_[i]) continue;
    everywhere_.count[i].fetch_add(size - published_[i], std::memory_order_relaxed);
    published_[i] = size;
  }
}

void ReadyQueue::begin(Turn& turn) {
  if (auto* context = turn.context_) {
    context->now = loop_.now();
    if (turn.place_ >= critical && !context->admission.refused) context->admission.waiting = ahead_of(turn.place_);
  }
  turn.waiting_.resume();  // which ends the Turn
}

bool ReadyQueue::round() {
  if (size_ == 0) {
    // Where one took long, those that come next wait, so that the most important of them is the first.
    caught_up_ = system_clock().steady() - turn_ < kAtOnce;
    overload_.nobody_waits(loop_.now());
    return false;
  }
  const auto& clock = system_clock();
  const auto begun = clock.steady();
  auto before = begun;
  auto each = kLong;
  // Reading what has come may have taken longer, where many come at once or the processor is shared: at least half of
  // the time belongs to what is served.
  const auto span = std::clamp(begun - loop_.now(), kRound, kLongestRound);
  unsigned since_look = 0;
  bool enough_refused = false, over = false, worked = false;
  working_ = true;
  refuse_excess(begun);
  publish();
  // What is refused takes no more than half of the time as well: one that is served is always among them.
  while (auto* turn = next(enough_refused)) {
    const auto waited = begun - turn->since_;
    const bool refusal = turn->context_ && turn->context_->admission.refused;
    begin(*turn);
    ++since_look;
    if (!refusal) worked = true;
    if (since_look < kBetweenLooks && each < kLong && !enough_refused) continue;
    const auto now = clock.steady();
    each = (now - before) / since_look;
    if (!refusal) overload_.worked(now, each, waited, size_);
    before = now;
    since_look = 0;
    enough_refused = now - begun >= span / 2;
    over = now - begun >= span;
    if (over && worked) break;
  }
  working_ = false;
  caught_up_ = size_ == 0;
  if (caught_up_) overload_.nobody_waits(before);
  publish();
  return size_ > 0;
}

}  // namespace plimsoll::edge
