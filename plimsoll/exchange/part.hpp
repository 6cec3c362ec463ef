#pragma once

#include "plimsoll/base/problem.hpp"
#include "plimsoll/config/bounds.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/promises.hpp"
#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/exchange/services.hpp"

#include <memory>
#include <span>

namespace plimsoll::contract {
struct Operation;
class Contract;
}  // namespace plimsoll::contract

namespace plimsoll {

class Shared;  // exchange/shared.hpp

/// A number that is watched; `labels` beside the operation. Counting itself is `telemetry`.
struct Metric {
  std::string_view name, unit, sentence;
};

/// What a part may use to build itself for one operation: the operation, the deployment, clocks, stores, counters.
struct Build {
  const contract::Contract& contract;
  const contract::Operation& operation;
  const Services& services;
  const Handler* handler = nullptr;       ///< that answers it; null where it is not known yet
  unsigned place = 0;                     ///< of the policy in the chain, when it stands there more than once: 0, 1, …
  const json::Value* settings = nullptr;  ///< value of the policy's key in force; null where nothing is said

  /// An option of the policy cannot be used: told at its place in the contract, or at the key.
  std::unexpected<Error> wrong(std::string_view option, std::string_view what, std::string_view remedy = {}) const;
};

/// What a part may use to say what it demands and returns for one operation: what its documents say, and nothing that
/// needs a process.
struct Description {
  const contract::Contract& contract;
  const contract::Operation& operation;
  Shared& shared;  ///< what parts keep while one document is described
  Mode mode = Mode::enforce;
  bool mock = false;  ///< as `plimsoll mock` serves it: no credential is verified
};

/// All the house knows of a policy, declared in the policy's own file: its key, options, problems, metrics, and how it
/// is built for an operation. A row in server/chain.cpp puts it in its place; schema, docs, problem pages, unknown-key
/// checks, metric registry and `config --explain` are loops over the rows.
///
/// A policy class P has `struct Options` (each default in it), `static constexpr config::Field fields[]`, `problems[]`,
/// perhaps `check_documents`, `metrics[]` and `deployment[]` (its sections of plimsoll.yaml, read by `read_section`),
/// and `static Result<std::unique_ptr<Policy>> build(Options, const Build&)`, which gives null when there is nothing to
/// do for the operation. Where there is a short form it has `static Result<Options> read(const json::Value&)` and
/// `short_form`, the JSON Schema members of it; `read` hands an object on to config::read. `example` is a value as it
/// is written; `scopes` and `methods` where it has no effect everywhere. What callers of an operation can see of it, it
/// adds to the effective contract in `static void describe(const Options&, const Description&, contract::Promises&)`;
/// without it, its problems are added to the operations for which its key is in force.
struct Part {
  config::Key key;
  std::span<const Problem* const> problems;
  std::span<const Metric> metrics;
  /// `options`: the value of the key in force, or null. Obeys `off` and `mode`. Null: nothing to do here.
  Result<std::unique_ptr<Policy>> (*build)(const Part&, const json::Value* options, const Build&);
  /// Sections of `plimsoll.yaml` that are its own.
  std::span<const config::Section> deployment{};
  /// Other keys of `x-plimsoll` that it owns, all scopes.
  std::span<const config::Key> more_keys{};
  /// Holds the deployment (null: none) against all contracts that are served with it, before anything is built; null:
  /// nothing to check.
  Result<> (*check)(std::span<const contract::Contract* const>, const json::Value* deployment) = nullptr;
  /// Adds to an operation what this demands of requests and does to responses; null: callers see nothing of it.
  /// `options` as for `build`.
  void (*describe)(const json::Value* options, const Description&, contract::Promises&) = nullptr;

  /// `off`, or `mode` of the long form; enforce when nothing is said.
  static Result<Mode> mode_of(const json::Value* options);
  /// Whether the value of a key is the word, or an object in which it is true: `cache: origin`, `cache: {origin:
  /// true}`.
  static bool says(const json::Value* options, std::string_view word);
  /// Names the policy, sets its mode and counters.
  static void attach(const Part&, Policy&, Mode, const Build&);
};

/// Keys every policy understands beside its own.
inline constexpr std::string_view kEveryPolicy[] = {"mode"};

/// The long form, an object with the options of `fields`; or the short one, the value of one of them alone:
/// `deadline: 200ms`.
template <auto Short, std::size_t N>
Result<decltype(config::owner_of(Short))> read_either(const json::Value& from, const config::Field (&fields)[N]) {
  decltype(config::owner_of(Short)) options;
  if (from.is(json::Type::object)) {
    if (auto done = config::read(from, fields, &options, kEveryPolicy); !done)
      return std::unexpected(std::move(done).error());
  } else {
    auto value = config::Form<decltype(config::type_of(Short))>::read(from);
    if (!value) return std::unexpected(std::move(value).error());
    options.*Short = std::move(*value);
    if (auto within = config::check_bounds(from, fields, &options); !within)
      return std::unexpected(std::move(within).error());
  }
  return options;
}

/// The options of a section of the deployment; all defaults where nothing is said.
template <class T>
Result<T> read_section(const Services& services, const config::Section& section) {
  T options{};
  const auto* said = services.deployment ? services.deployment->find(section.key.name) : nullptr;
  if (said)
    if (auto done = config::read(*said, section.key.fields, &options); !done)
      return std::unexpected(std::move(done).error());
  return options;
}

/// The options of a policy: all defaults where nothing is said.
template <class P>
Result<typename P::Options> options_of(const json::Value* from) {
  typename P::Options options{};
  if (!from) return options;
  if constexpr (requires { P::read(*from); }) {
    return P::read(*from);
  } else {
    if (auto read = config::read(*from, P::fields, &options, kEveryPolicy); !read)
      return std::unexpected(std::move(read).error());
    return options;
  }
}

template <class P>
consteval Part part(std::string_view name, std::string_view sentence) {
  Part made{.key = {name, sentence, P::fields, nullptr}, .problems = P::problems, .metrics = {}, .build = nullptr};
  made.key.defaults = config::defaults_of<typename P::Options>;
  if constexpr (requires { P::example; }) made.key.example = P::example;
  if constexpr (requires { P::scopes; }) made.key.scopes = P::scopes;
  if constexpr (requires { P::methods; }) made.key.methods = P::methods;
  if constexpr (requires { P::metrics; }) made.metrics = P::metrics;
  if constexpr (requires { P::deployment; }) made.deployment = P::deployment;
  if constexpr (requires { P::more_keys; }) made.more_keys = P::more_keys;
  if constexpr (requires { &P::check_documents; }) made.check = &P::check_documents;
  if constexpr (requires { P::short_form; }) made.key.short_form = P::short_form;
  made.build = [](const Part& self, const json::Value* from, const Build& build) -> Result<std::unique_ptr<Policy>> {
    auto mode = Part::mode_of(from);
    if (!mode) return std::unexpected(std::move(mode).error());
    if (*mode == Mode::off) return nullptr;
    auto options = options_of<P>(from);
    if (!options) return std::unexpected(std::move(options).error());
    auto policy = P::build(std::move(*options), build);
    if (policy && *policy) Part::attach(self, **policy, *mode, build);
    return policy;
  };
  if constexpr (!requires { &P::describe; }) {
    made.describe = [](const json::Value* from, const Description&, contract::Promises& promises) {
      if (const auto mode = Part::mode_of(from); from && mode && *mode != Mode::off) promises.refuses(P::problems);
    };
  } else {
    made.describe = [](const json::Value* from, const Description& description, contract::Promises& promises) {
      auto known = description;
      const auto mode = Part::mode_of(from);
      if (!mode || *mode == Mode::off) return;
      known.mode = *mode;
      // What cannot be read refuses the start, which says so.
      if (const auto options = options_of<P>(from)) P::describe(*options, known, promises);
    };
  }
  return made;
}

}  // namespace plimsoll
