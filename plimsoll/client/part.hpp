#pragma once

#include "plimsoll/client/call_state.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/part.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::client {

class Targets;
struct Peer;

/// What a part may use to build itself for one service that is called.
struct Build {
  std::string_view service;  ///< its name
  Timeouts timeouts;         ///< where the options say nothing
  const Services& services;
  /// Where the options say nothing: `retry`, `concurrency` and `breaker` are on. Off for who repeats a call by itself
  /// (a job, the refresh of keys): only the outermost layer repeats.
  bool resilient = false;
  /// What this server shows the service to say who it is; null: nothing.
  const json::Value* credential = nullptr;
  /// PEM text or file of the certificate that this server shows the service; empty: none.
  std::string_view certificate{};
  /// States of services by name, which outlive this one (`Kept`).
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  std::shared_ptr<Targets> targets{};  ///< null: there is one, of which nothing is to be known
  std::span<const Peer> peers{};       ///< what `CallState::target` chooses from; they outlive the policies
};

/// States by name that services which follow one another share: a reload does not close a circuit. They live as long as
/// one of the services does. Any thread.
template <class T>
class Kept {
 public:
  /// `arguments`: of the one that is made where there is none.
  template <class... A>
  std::shared_ptr<T> of(std::string_view name, A&&... arguments) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(all_, [](const auto& each) { return each.second.expired(); });
    auto& known = all_[std::string(name)];
    auto state = known.lock();
    if (!state) known = state = std::make_shared<T>(std::forward<A>(arguments)...);
    return state;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<T>> all_;
};

/// All that is known of a policy around outgoing calls, declared in its own file. The policy is a `plimsoll::Policy`,
/// the same that stands around operations; only what it is built for differs. A row in client/chain.cpp puts it in its
/// place.
struct Part {
  config::Key key;
  std::span<const Metric> metrics;
  /// `options`: the value of the key in force, or null. Null: nothing to do for this service. `off` is obeyed here.
  Result<std::unique_ptr<Policy>> (*build)(const json::Value* options, const Build&);
};

/// A policy class P has `struct Options`, `static constexpr config::Field fields[]`, perhaps `metrics[]`, and `static
/// Result<std::unique_ptr<Policy>> build(const json::Value* options, const Build&)`.
template <class P>
consteval Part part(std::string_view name, std::string_view sentence) {
  Part made{.key = {name, sentence, P::fields, nullptr}, .metrics = {}, .build = nullptr};
  made.key.defaults = []() -> const void* {
    static const typename P::Options defaults{};
    return &defaults;
  };
  if constexpr (requires { P::metrics; }) made.metrics = P::metrics;
  if constexpr (requires { P::short_form; }) made.key.short_form = P::short_form;
  if constexpr (requires { P::example; }) made.key.example = P::example;
  made.build = [](const json::Value* from, const Build& build) -> Result<std::unique_ptr<Policy>> {
    auto mode = plimsoll::Part::mode_of(from);
    if (!mode) return std::unexpected(std::move(mode).error());
    if (*mode == Mode::off) return nullptr;
    return P::build(from, build);
  };
  return made;
}

}  // namespace plimsoll::client
