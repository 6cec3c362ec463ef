#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/part.hpp"

#include <map>
#include <string>

namespace plimsoll {

/// The handlers of a plan by `operationId`: `Services::of_plan`, complete when the first request comes.
struct OperationHandlers {
  std::map<std::string, Handler*, std::less<>> all;
};

/// All the house knows of a way to answer an operation (`table`, `mock`, `job`, …), declared in its own file;
/// server/handlers.cpp lists them. The key of `x-plimsoll` with that name chooses it.
struct Handling {
  config::Key key;
  std::span<const Problem* const> problems;
  std::span<const Metric> metrics{};
  /// Other keys of `x-plimsoll` it owns (the document's `tables`), all scopes.
  std::span<const config::Key> more_keys{};
  /// Sections of `plimsoll.yaml` that are its own.
  std::span<const config::Section> deployment{};
  /// Adds to the document what follows from its keys, before it is compiled; null: nothing.
  void (*augment)(contract::Draft&) = nullptr;
  /// Once per start, before all else: brings a service of its own (the queue of `job`) into the process.
  void (*provide)(const contract::Contract&, Services&, contract::Complaints&) = nullptr;
  /// Once per start, before any operation is built: makes or checks what all its operations share. Complaints refuse
  /// the start.
  void (*prepare)(const contract::Contract&, const Services&, contract::Complaints&) = nullptr;
  Result<std::unique_ptr<Handler>> (*build)(const json::Value& options, const Build&) = nullptr;
  /// Its operations cannot be served without a database.
  bool needs_database = true;
  /// Can answer what no operation of the contract declares: `undeclared` of the document names it.
  bool undeclared = false;
  /// Adds to the effective contract of an operation what its handler demands and returns; null: its problems.
  void (*describe)(const json::Value& options, const Description&, contract::Promises&) = nullptr;
};

}  // namespace plimsoll
