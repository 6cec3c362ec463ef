#pragma once

#include "plimsoll/contract/bundle.hpp"
#include "plimsoll/contract/lookalikes.hpp"
#include "plimsoll/contract/router.hpp"

#include <map>
#include <mutex>
#include <unordered_map>

namespace plimsoll::contract {

/// The contract as `load` makes it: owner of the texts, the values and the compiled parts.
class Compiled final : public Contract {
 public:
  Match match(std::string_view method, std::string_view path) const override { return router.match(method, path); }
  bool resembles_declared(std::string_view path) const override { return !lookalikes || lookalikes->has(path); }
  std::span<const std::string> path_parameters(const Operation& operation) const override {
    return names.at(operation.index);
  }
  Result<schema::Validator> compile(const json::Value& schema, schema::CompileOptions::Direction) const override;
  Result<std::shared_ptr<const schema::Validator>> validator(const json::Value& schema,
                                                             schema::CompileOptions::Direction) const override;
  std::shared_ptr<const Marked> marked(const json::Value& schema, Mark mark) const override;
  const json::Value& resolve(const json::Value& value) const override {
    const auto* found = dereference(*root, value);
    return found ? *found : value;
  }
  const Operation* find(std::string_view operation_id) const override {
    const auto found = by_id.find(operation_id);
    return found == by_id.end() ? nullptr : &operations[found->second];
  }

  Arena arena{256 * 1024};
  Sources sources;
  Router router;
  std::unique_ptr<Lookalikes> lookalikes;  ///< where paths that are not declared are passed on
  std::vector<std::vector<std::string>> names;
  std::unordered_map<std::string_view, std::uint32_t> by_id;
  int minor = 1;  ///< of OpenAPI 3
  schema::CompileOptions::Dialect dialect = schema::CompileOptions::Dialect::openapi31;

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::pair<const json::Value*, schema::CompileOptions::Direction>,
                   std::shared_ptr<const schema::Validator>>
      shared_;
  /// Those without references by their text: what many operations declare alike (`limit`, `cursor`) is compiled once.
  mutable std::unordered_map<std::string, std::shared_ptr<const schema::Validator>> alike_;
  mutable std::map<std::pair<const json::Value*, Mark>, std::shared_ptr<const Marked>> marked_;
  mutable std::optional<bool> any_mark_[2];  ///< anywhere in the document
};

/// Fills in `made` (root, title, operations, routes) from its bundled document.
void compile(Compiled& made, const LoadOptions& options, Report& report);

/// Checks types, required fields and names of fields against the table of the structure, and the names of keywords.
/// `minor`: of the version of OpenAPI 3.
void check_structure(const json::Value& root, int minor, Report& report);

/// Checks what that object may hold together, and the syntax of names (`rules.cpp`); `value` is an object.
void check_rules(const json::Value& root, const json::Value& value, Kind kind, const Trail& trail, int minor,
                 Report& report);

}  // namespace plimsoll::contract
