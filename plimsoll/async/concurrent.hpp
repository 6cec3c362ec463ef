#pragma once

#include "plimsoll/async/loop.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace plimsoll {
namespace concurrent {

template <class>
struct ValueOf;
template <class T>
struct ValueOf<Task<Result<T>>> {
  using type = T;
};

/// The lines of work of one `map_concurrent`: each takes the next item until there are no more.
template <class Items, class F>
class Lines final : public Waiting {
 public:
  using Item = std::ranges::range_reference_t<const Items>;
  using Value = typename ValueOf<std::invoke_result_t<F&, Item>>::type;
  using Kept = std::conditional_t<std::is_void_v<Value>, std::monostate, Value>;

  Lines(const Items& items, std::size_t most, F& f)
      : items_(items), f_(f), lines_(std::min(std::max<std::size_t>(most, 1), size())) {}
  bool await_ready() const noexcept { return lines_ == 0; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    scopes_ = std::make_unique<Scope[]>(lines_);
    values_.resize(size());
    outer_ = parent.promise().scope;
    if (outer_) {
      if (outer_->stopped() != Stop::none) stop(outer_->stopped());
      for (std::size_t i = 0; i < lines_; ++i) scopes_[i].ends_by(outer_->ends_by());
      outer_->wait_at(*this);
    }
    running_ = lines_ + 1;  // this one too, so that none resumes the parent before all are started
    for (std::size_t i = 0; i < lines_; ++i) {
      auto line = run(*this, scopes_[i]).handle;
      line.promise().scope = &scopes_[i];
      line.resume();
    }
    parent_ = parent;
    return --running_ > 0;
  }
  /// Nothing: all items were done.
  std::optional<Error> await_resume() {
    if (outer_) outer_->go_on();
    if (!failure_ && begun_ < size()) failure_ = error_of(outer_ ? outer_->stopped() : Stop::none);
    return std::move(failure_);
  }
  void stop(Stop why) noexcept override {
    for (std::size_t i = 0; i < lines_; ++i) scopes_[i].stop(why);
  }
  std::vector<std::optional<Kept>>& values() { return values_; }

 private:
  std::size_t size() const { return static_cast<std::size_t>(std::ranges::size(items_)); }
  static Line run(Lines& self, Scope& scope) {
    while (self.begun_ < self.size() && !self.failure_ && scope.stopped() == Stop::none) {
      const auto index = self.begun_++;
      auto made = co_await one(self.f_, *(std::ranges::begin(self.items_) + static_cast<std::ptrdiff_t>(index)));
      if (made) {
        if constexpr (std::is_void_v<Value>)
          self.values_[index].emplace();
        else
          self.values_[index].emplace(std::move(*made));
      } else if (!self.failure_) {
        self.failure_ = std::move(made).error();
        self.stop(Stop::lost_race);
      }
    }
    if (--self.running_ == 0) self.parent_.resume();
  }
  /// A coroutine, so that what `f` throws before it is one becomes an error.
  static Task<Result<Value>> one(F& f, Item item) {
    auto made = co_await f(item);
    co_return made;
  }

  const Items& items_;
  F& f_;
  const std::size_t lines_;
  std::unique_ptr<Scope[]> scopes_;
  std::vector<std::optional<Kept>> values_;
  std::optional<Error> failure_;
  Scope* outer_ = nullptr;
  std::coroutine_handle<> parent_;
  std::size_t begun_ = 0, running_ = 0;
};

}  // namespace concurrent

/// `f(item)`, a coroutine that gives Result<T>, for each of `items`, at most `most` of them at a time: the values in
/// the order of the items. The first that fails ends it: those under way are told to stop and waited for, the others
/// are not begun, and its error is the result. Where T is void the result is a Result<>.
///
///     auto rates = co_await map_concurrent(currencies, 5, [&](const std::string& currency) -> Task<Result<Rate>> {
///       auto rate = co_await service.get<Rate>("/rates/" + currency);
///       co_return rate;
///     });
///
/// All of it runs on the thread of whoever waits for it, and ends when that is told to stop. Of units of work there is
/// one at a time: do not divide one between items.
template <std::ranges::random_access_range Items, class F>
  requires std::ranges::sized_range<const Items>
auto map_concurrent(const Items& items, std::size_t most, F f)
    -> Task<Result<std::conditional_t<std::is_void_v<typename concurrent::Lines<Items, F>::Value>, void,
                                      std::vector<typename concurrent::Lines<Items, F>::Kept>>>> {
  concurrent::Lines<Items, F> lines{items, most, f};
  if (auto failure = co_await lines) co_return std::unexpected(std::move(*failure));
  if constexpr (std::is_void_v<typename concurrent::Lines<Items, F>::Value>) {
    co_return Result<>{};
  } else {
    std::vector<typename concurrent::Lines<Items, F>::Kept> values;
    values.reserve(lines.values().size());
    for (auto& value : lines.values()) values.push_back(std::move(*value));
    co_return values;
  }
}

}  // namespace plimsoll
