#pragma once

#include "plimsoll/client/connection.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/part.hpp"

#include <memory>
#include <span>
#include <string_view>

namespace plimsoll::client {

/// What a part may use to build itself for one service that is called.
struct Build {
  std::string_view service;  ///< its name
  Timeouts timeouts;         ///< where the options say nothing
  const Services& services;
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
  made.build = [](const json::Value* from, const Build& build) -> Result<std::unique_ptr<Policy>> {
    auto mode = plimsoll::Part::mode_of(from);
    if (!mode) return std::unexpected(std::move(mode).error());
    if (*mode == Mode::off) return nullptr;
    return P::build(from, build);
  };
  return made;
}

}  // namespace plimsoll::client
