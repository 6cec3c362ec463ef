#pragma once

#include "plimsoll/contract/compiled.hpp"

namespace plimsoll::contract {

/// Compiles the schemas that a document uses; what is wrong with one is said once, at its keyword.
class Schemas {
 public:
  using Direction = schema::CompileOptions::Direction;
  Schemas(const Compiled& made, Report& report) : made_(made), report_(report) {}

  /// Null where it cannot be compiled.
  std::shared_ptr<const schema::Validator> compile(const json::Value& schema, const Trail& at,
                                                   Direction direction = Direction::request);
  /// The same where no validator is needed yet: checked with all others of them by `check`. Answers lead to much of a
  /// document each, and most are never looked at.
  void later(const json::Value& schema, const Trail& at);
  void check();
  /// Whether it is one of those, and cannot be compiled.
  bool is_refused(const json::Value& schema) const { return refused_.contains(&target(schema)); }
  /// All schemas in an object of that kind and in what it refers to. Nothing is held against those of callbacks and
  /// webhooks here, but whoever sends them reads this document.
  void compile_all(const json::Value& value, Kind kind, const Trail& at);

 private:
  struct Unchecked {
    const json::Value* schema;
    std::string pointer;
  };
  /// What is compiled for it: behind a reference, unless other keywords stand beside.
  const json::Value& target(const json::Value& schema) const;
  bool check(std::span<const Unchecked> part) const;
  void check_each(std::span<const Unchecked> part);
  void complain(const json::Value& schema, const std::string& pointer, const std::string& detail);

  const Compiled& made_;
  Report& report_;
  std::set<const json::Value*> refused_, told_, seen_, listed_;
  std::vector<Unchecked> unchecked_;
};

}  // namespace plimsoll::contract
