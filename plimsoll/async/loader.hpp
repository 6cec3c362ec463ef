#pragma once

#include "plimsoll/async/pause.hpp"
#include "plimsoll/async/wait_list.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace plimsoll {
namespace loading {

/// Key and value of what fetches: `Task<Result<std::map<Key, Value>>>(std::vector<Key>)`.
template <class>
struct TypesOf;
template <class K, class V, class C, class A>
struct TypesOf<std::function<Task<Result<std::map<K, V, C, A>>>(std::vector<K>)>> {
  using Key = K;
  using Value = V;
};
template <class Fetch>
using Types = TypesOf<decltype(std::function{std::declval<Fetch>()})>;

}  // namespace loading

/// Fetches values by key for one exchange: the keys that lines of work ask for in the same turn of the loop are fetched
/// by one call, and each key once. So code that is written for one item costs one question for all of them, where it
/// runs for many at a time (map_concurrent).
///
///     Loader authors{context.loop, 100, [&](std::vector<std::int64_t> ids) -> Task<Result<std::map<std::int64_t,
///     Author>>> { … }};
///     auto author = co_await authors.load(book.author_id);   // Result<const Author*>
///
/// It belongs to one exchange and one thread: what one caller may see is never kept for another. Errors are not kept.
template <class Fetch>
class Loader {
 public:
  using Key = typename loading::Types<Fetch>::Key;
  using Value = typename loading::Types<Fetch>::Value;
  using Fetcher = Fetch;

  /// `fetch(keys)` gives the values that there are, each by its key; it is called with at most `most` keys, each once.
  Loader(Loop& loop, std::size_t most, Fetch fetch) : loop_(loop), most_(most), fetch_(std::move(fetch)) {}
  Loader(const Loader&) = delete;

  /// The value of the key, good as long as the loader; null: there is none.
  Task<Result<const Value*>> load(Key key) {
    constexpr Nanoseconds kPatience = 60 * kSecond;  // an exchange has a deadline of its own
    const auto end = loop_.now() + kPatience;
    for (;;) {
      if (const auto known = known_.find(key); known != known_.end())
        co_return known->second ? &*known->second : nullptr;
      const auto under_way = asked_.find(key);
      if (under_way == asked_.end()) {
        if (gathered_ && gathered_->keys.size() < most_) {
          gathered_->keys.push_back(key);
          asked_.emplace(std::move(key), gathered_);
          key = gathered_->keys.back();
          continue;
        }
        auto failure = co_await lead(key);
        if (failure) co_return std::unexpected(std::move(*failure));
        continue;
      }
      const auto batch = under_way->second;
      auto woken = co_await batch->waiting.wait(loop_, end - loop_.now(), [&] { return batch->ended; });
      if (!woken) co_return std::unexpected(std::move(woken).error());
      if (!*woken) co_return std::unexpected(Error{&kDeadlineExceeded});
      if (batch->failure) co_return std::unexpected(*batch->failure);
    }
  }

 private:
  struct Batch {
    std::vector<Key> keys;
    WaitList waiting;
    std::optional<Error> failure;
    bool ended = false;
  };
  /// Whatever becomes of the one that asks, those who wait for it go on, and its keys can be asked for again.
  struct Landing {
    Loader& loader;
    Batch& batch;
    std::optional<Error> failure = Error{&kInternal};
    ~Landing() {
      for (const auto& key : batch.keys) loader.asked_.erase(key);
      batch.waiting.wake_all([&] {
        batch.failure = std::move(failure);
        batch.ended = true;
      });
    }
  };

  /// Waits until all have asked who ask in this turn, and asks for them; nothing: it has brought what there is.
  Task<std::optional<Error>> lead(Key key) {
    const auto batch = std::make_shared<Batch>();
    gathered_ = batch;
    batch->keys.push_back(key);
    asked_.emplace(std::move(key), batch);
    Landing landing{*this, *batch};
    co_await next_turn(loop_);
    if (gathered_ == batch) gathered_ = nullptr;
    auto found = co_await fetched(batch->keys);
    const Scope* scope = co_await this_scope();
    if (!found) {
      // Who leads may have been told to stop where the others were not: then one of them asks again.
      const bool stopped = scope && scope->stopped() != Stop::none;
      landing.failure = stopped ? std::nullopt : std::optional(found.error());
      co_return std::move(found).error();
    }
    for (const auto& each : batch->keys) {
      const auto value = found->find(each);
      known_.emplace(each, value == found->end() ? std::nullopt : std::optional<Value>(std::move(value->second)));
    }
    landing.failure = std::nullopt;
    co_return std::nullopt;
  }
  /// A coroutine, so that what `fetch` throws before it is one becomes an error.
  Task<Result<std::map<Key, Value>>> fetched(std::vector<Key> keys) {
    auto found = co_await fetch_(std::move(keys));
    co_return found;
  }

  Loop& loop_;
  const std::size_t most_;
  Fetch fetch_;
  std::map<Key, std::optional<Value>> known_;
  std::map<Key, std::shared_ptr<Batch>> asked_;  ///< gathered or under way
  std::shared_ptr<Batch> gathered_;              ///< takes further keys in this turn
};
template <class Fetch>
Loader(Loop&, std::size_t, Fetch) -> Loader<Fetch>;

}  // namespace plimsoll
