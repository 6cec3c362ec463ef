#pragma once

#include "plimsoll/async/single_flight.hpp"
#include "plimsoll/exchange/arguments.hpp"
#include "plimsoll/json/parse.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace plimsoll {

namespace binding {

/// What fills one key, for all handlers and plans of the process.
struct Fills {
  using Flights = SingleFlight<Result<std::string>>;
  Flights flights;
  /// Whatever happens to the one that fills, the others get a result and the key is free.
  struct Landing {
    Flights* flights;  ///< null: another one fills
    std::string_view key;
    Flights::Flight& flight;
    Result<std::string> brought = std::unexpected(Error{&kInternal});
    ~Landing() {
      if (flights) flights->land(key, flight, std::move(brought));
    }
  };
};
/// The tables from which values of a cache are made; a name that `tables` of the contract does not have is a mistake.
void tables(const Build& build, std::span<const std::string_view> names,
            std::span<const database::TableVersions::Table*> found, Mistakes& mistakes);
/// The kept text of a key, in the exchange's arena; nothing where there is none, or a table has been written since.
Task<Result<std::optional<std::string_view>>> kept_text(Context& context, std::string_view key,
                                                        std::span<const database::TableVersions::Table* const> tables);
Task<Result<>> keep_text(Context& context, std::string_view key, std::string_view text, std::uint64_t when,
                         Nanoseconds ttl);
std::uint64_t now_of(const Context& context);

}  // namespace binding

/// Values of the program that are made once and kept for a while, shared by all threads: of those who miss one key at
/// the same time, one fills it and the others wait for it. Values are structs, kept as JSON. `Tables` are those they
/// are read from: a value is gone as soon as one of them is written (by tables of the contract, or Context::wrote).
///
///     auto top = co_await popular.get_or_fill<Top>("all", 5min, read_top, database);
///
/// A handler takes it as an argument: `Cache<"popular", "books", "loans"> popular`.
template <Name CacheName, Name... Tables>
class Cache {
 public:
  using Versions = std::array<const database::TableVersions::Table*, sizeof...(Tables)>;
  Cache(Context& context, const Versions& versions, binding::Fills& fills)
      : context_(&context), versions_(&versions), fills_(&fills) {}

  /// The value of the key; `fill(arguments…)`, a coroutine that gives Result<T>, makes it where there is none. Errors
  /// are not kept.
  template <class T, class F, class... X>
  Task<Result<T>> get_or_fill(std::string key, std::chrono::nanoseconds ttl, F fill, X... arguments) const {
    key.insert(0, "program:" + std::string(CacheName.view()) + ":");
    constexpr Nanoseconds kPatience = 30 * kSecond;  // then a second one fills it
    auto kept = co_await binding::kept_text(*context_, key, *versions_);
    if (!kept) co_return std::unexpected(std::move(kept).error());
    if (*kept) co_return made<T>(**kept);
    auto [flight, leads] = fills_->flights.board(key);
    if (!leads) {
      auto brought = co_await flight->wait(context_->loop, kPatience);
      if (!brought) co_return std::unexpected(std::move(brought).error());
      if (*brought && !**brought) co_return std::unexpected((*brought)->error());
      if (*brought) co_return made<T>(context_->arena.keep(***brought));
    }
    binding::Fills::Landing landing{leads ? &fills_->flights : nullptr, key, *flight};
    const auto when = binding::now_of(*context_);
    auto value = co_await fill(arguments...);
    if (!value) {
      landing.brought = std::unexpected(value.error());
      co_return value;
    }
    auto text = json::to_string(*value);
    static_cast<void>(co_await binding::keep_text(*context_, key, text, when, ttl.count()));
    landing.brought = std::move(text);
    co_return value;
  }

 private:
  template <class T>
  Result<T> made(std::string_view text) const {
    T value{};
    json::Misfit misfit;
    const auto parsed = json::parse(text, context_->arena);
    if (!parsed || !json::read(*parsed, value, misfit))
      return std::unexpected(Error{&kInternal}.because("a cached value is not what its type holds"));
    return value;
  }
  Context* context_;
  const Versions* versions_;
  binding::Fills* fills_;
};

template <Name CacheName, Name... Tables>
struct Argument<Cache<CacheName, Tables...>> {
  Argument(const Build& build, binding::Mistakes& mistakes) : fills(build.services.shared->of<binding::Fills>()) {
    const std::array<std::string_view, sizeof...(Tables)> names{Tables.view()...};
    binding::tables(build, names, versions, mistakes);
  }
  Cache<CacheName, Tables...> read(Request&, Context& context, Error*) const { return {context, versions, *fills}; }
  static Cache<CacheName, Tables...> pass(Cache<CacheName, Tables...> read) { return read; }
  typename Cache<CacheName, Tables...>::Versions versions{};
  std::shared_ptr<binding::Fills> fills;
};

}  // namespace plimsoll
