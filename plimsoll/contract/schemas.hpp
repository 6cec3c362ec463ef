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
  /// All schemas in an object of that kind and in what it refers to. Nothing is held against those of callbacks and
  /// webhooks here, but whoever sends them reads this document.
  void compile_all(const json::Value& value, Kind kind, const Trail& at);

 private:
  const Compiled& made_;
  Report& report_;
  std::set<const json::Value*> refused_, seen_;
};

}  // namespace plimsoll::contract
