#include "plimsoll/client/relay.hpp"

#include "plimsoll/async/both.hpp"
#include "plimsoll/async/pause.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace plimsoll::client {
namespace {

using net::Want;

/// Reads in a row before others have their turn.
constexpr int kInARow = 8;
/// TLS that wants to write in order to read, or the other way round, does so at a change of its keys alone.
constexpr auto kSoon = 10 * kMillisecond;

struct Scratch {
  explicit Scratch(Loop&) {}
  std::array<char, Relay::kScratch> bytes;
};

}  // namespace

void RelayHalf::before(std::string_view bytes) {
  frames_.pass(bytes);
  hold(bytes);
}

void RelayHalf::hold(std::string_view bytes) {
  if (bytes.empty()) return;
  pending_ = std::make_unique_for_overwrite<char[]>(bytes.size());
  std::memcpy(pending_.get(), bytes.data(), bytes.size());
  at_ = 0, size_ = bytes.size();
}

void RelayHalf::end_with(std::string frame) {
  if (silent_ || frames_.closed()) return;
  last_ = std::move(frame);
  if (!pending_ && begin_last()) (void)flush();
}

/// Whether the last frame is what goes next; nothing is pending.
bool RelayHalf::begin_last() {
  if (last_.empty() || !frames_.between()) return false;
  if (!frames_.closed()) hold(last_);
  last_.clear();
  silent_ = true;
  return pending_ != nullptr;
}

RelayHalf::Next RelayHalf::flush() {
  while (at_ < size_) {
    const iovec piece{pending_.get() + at_, size_ - at_};
    const auto moved = to_.write({&piece, 1});
    if (moved.failed()) return Next::receiver_lost;
    if (moved.want != Want::nothing) return moved.want == Want::write ? Next::write : Next::again;
    at_ += moved.bytes;
    moved_ += moved.bytes;
  }
  pending_.reset();
  return Next::turn;
}

RelayHalf::Next RelayHalf::step(std::span<char> scratch) {
  for (int i = 0; i < kInARow; ++i) {
    if (pending_)
      if (const auto next = flush(); next != Next::turn) return next;
    if (begin_last()) continue;
    if (ended_) {
      if (lost_) return Next::sender_lost;  // the receiver is not told that all has come
      if (!std::exchange(finished_, true)) to_.finish();
      return to_.pending() ? Next::write : Next::ended;
    }
    const auto read = from_.read(scratch);
    if (read.want != Want::nothing) return read.want == Want::read ? Next::read : Next::again;
    lost_ = read.failed();
    ended_ = read.ended || lost_;
    if (read.bytes == 0 || silent_) continue;
    auto size = read.bytes;
    if (last_.empty())
      frames_.pass({scratch.data(), size});
    else if (size = frames_.finish({scratch.data(), size}); size == 0)
      continue;
    const iovec piece{scratch.data(), size};
    const auto written = to_.write({&piece, 1});
    if (written.failed()) return Next::receiver_lost;
    moved_ += written.bytes;
    if (written.bytes < size) hold({scratch.data() + written.bytes, size - written.bytes});
  }
  return Next::turn;
}

Relay::Relay(Loop& loop, net::Channel& first, net::Channel& second, Nanoseconds idle, Meter* meter)
    : loop_(loop), to_first_(second, first), to_second_(first, second), idle_(idle), meter_(meter) {}

Task<Relay::End> Relay::run() {
  last_ = loop_.now();
  co_await both(way(to_second_, true), way(to_first_, false));
  const Scope* scope = co_await this_scope();
  if (scope && scope->stopped() != Stop::none) co_return End::stopped;
  co_return end_;
}

/// False: the other direction is of no use any more.
Task<bool> Relay::way(RelayHalf& half, bool to_second) {
  using enum RelayHalf::Next;
  auto& scratch = loop_.own<Scratch>().bytes;
  const Scope* scope = co_await this_scope();
  for (;;) {
    const auto before = half.moved();
    const auto next = half.step(scratch);
    if (const auto bytes = half.moved() - before) {
      last_ = loop_.now();
      if (meter_) meter_->moved(to_second, bytes);
    }
    // With a close frame of each side all is said (RFC 6455, section 7.1.1); a client that waits for this end is not
    // waited for.
    if (next == ended) co_return !(to_first_.closed() && to_second_.closed());
    if (next == sender_lost) {
      end(to_second ? End::first_lost : End::second_lost);
      co_return false;
    }
    // What the receiver has sent before is still passed on; how its side has ended, reading it tells.
    if (next == receiver_lost) co_return true;
    if (next == turn) {
      co_await next_turn(loop_);
      if (scope && scope->stopped() != Stop::none) co_return false;
      continue;
    }
    const auto left = last_ + idle_ - loop_.now();
    if (left <= 0) {
      end(End::idle);
      co_return false;
    }
    if (next == again) {
      const bool rested = co_await pause(loop_, std::min(left, kSoon));
      if (!rested) co_return false;
      continue;
    }
    auto& at = next == read ? half.from() : half.to();
    const auto woken = co_await at.wait(next == read ? Want::read : Want::write, left);
    if (woken == Wake::stopped) co_return false;
  }
}

}  // namespace plimsoll::client
