#pragma once

#include "plimsoll/json/parse.hpp"

#include <string>
#include <unordered_map>

namespace plimsoll::table {

/// Values of a document by their text: what many operations declare alike (`limit`, `cursor`, the rows of a table) is
/// there once.
class SharedValues {
 public:
  explicit SharedValues(Arena& arena) : arena_(arena) {}
  /// `text` is JSON; null where it is none.
  json::Value of(std::string text) {
    auto found = made_.find(text);
    if (found == made_.end()) {
      const auto parsed = json::parse(arena_.keep(text), arena_);
      found = made_.emplace(std::move(text), parsed ? *parsed : json::Value{}).first;
    }
    return found->second;
  }

 private:
  Arena& arena_;
  std::unordered_map<std::string, json::Value> made_;
};

}  // namespace plimsoll::table
