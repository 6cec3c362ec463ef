#pragma once

#include "plimsoll/async/wait_list.hpp"
#include "plimsoll/base/hash.hpp"

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

namespace plimsoll {

/// Of those who want the same thing at the same time one goes and the others wait for what it brings, on whatever loops
/// they are. The first to `board` a key leads and must `land` the flight; whoever boards after that leads anew.
///
/// `Note` is what the leader lets the others know at once (a fingerprint of what it asked for).
template <class T, class Note = std::monostate>
class SingleFlight {
 public:
  class Flight {
   public:
    explicit Flight(Note note) : note_(std::move(note)) {}
    const Note& note() const noexcept { return note_; }
    /// What was brought; nullopt when the span passed first; an error when the line was told to stop.
    Task<Result<std::optional<T>>> wait(Loop& loop, Nanoseconds span) {
      auto woken = co_await waiting_.wait(loop, span, [this] { return value_.has_value(); });
      if (!woken) co_return std::unexpected(std::move(woken).error());
      if (!*woken) co_return std::optional<T>{};
      co_return value_;  // never changes once it is there
    }
    /// Whether a line waits for it now.
    bool awaited() { return !waiting_.empty(); }

   private:
    friend class SingleFlight;
    const Note note_;
    WaitList waiting_;
    std::optional<T> value_;
  };
  struct Ticket {
    std::shared_ptr<Flight> flight;
    bool leads;
  };

  Ticket board(std::string_view key, Note note = {}) {
    auto& shard = of(key);
    std::lock_guard lock(shard.mutex);
    auto found = shard.flights.find(key);
    if (found != shard.flights.end()) return {found->second, false};
    auto flight = std::make_shared<Flight>(std::move(note));
    shard.flights.emplace(key, flight);
    return {std::move(flight), true};
  }
  void land(std::string_view key, Flight& flight, T value) {
    {
      auto& shard = of(key);
      std::lock_guard lock(shard.mutex);
      auto found = shard.flights.find(key);
      if (found != shard.flights.end()) shard.flights.erase(found);
    }
    flight.waiting_.wake_all([&] { flight.value_.emplace(std::move(value)); });
  }
  /// Keys in flight now.
  std::size_t size() const {
    std::size_t sum = 0;
    for (auto& shard : shards_) {
      std::lock_guard lock(shard.mutex);
      sum += shard.flights.size();
    }
    return sum;
  }

 private:
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, std::shared_ptr<Flight>, Hash64, std::equal_to<>> flights;  // callers choose keys
  };
  Shard& of(std::string_view key) { return shards_[hash64(key) % shards_.size()]; }
  std::array<Shard, 16> shards_;
};

}  // namespace plimsoll
