#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/contract/json_path.hpp"
#include "plimsoll/json/value.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract::json_path {

struct Filter;
struct Function;
struct Script;

struct Selector {
  enum class Kind : std::uint8_t { name, index, slice, wildcard, filter, script } kind = Kind::name;
  std::string name{};
  std::int64_t index = 0;
  std::optional<std::int64_t> from{}, to{};
  std::int64_t step = 1;
  std::unique_ptr<Filter> filter{};
  std::shared_ptr<Script> script{};  ///< of Syntax::script; shared only because its type is not complete here
};

struct Segment {
  bool descend = false;
  bool parent = false;  ///< `^` of Syntax::script, without selectors
  std::vector<Selector> selectors{};
};

/// Segments behind `$`, or behind `@` within a filter.
struct Query {
  bool from_root = true;
  std::vector<Segment> segments{};

  /// At most one node, whatever the document: nothing but names and indexes (RFC 9535, section 2.3.5.1).
  bool singular() const;
};

/// One of the three: a query, a function, or else a literal.
struct Operand {
  std::unique_ptr<Query> query{};
  std::unique_ptr<Function> function{};
  json::Value literal{};
};

struct Function {
  enum class Name : std::uint8_t { length, count, match, search, value } name = Name::length;
  std::vector<Operand> arguments{};

  /// The others result in a value (RFC 9535, section 2.4.1).
  bool logical() const { return name == Name::match || name == Name::search; }
};

/// A tree of logic over existence, functions and comparisons.
struct Filter {
  enum class Op : std::uint8_t { all, any, negate, exists, test, equal, unequal, less, at_most, more, at_least } op;
  std::vector<Filter> parts{};
  Operand left{}, right{};
};

/// Reads a whole query; what is wrong with it, or nothing. Texts of literals are kept in `literals`.
std::optional<std::string> read(std::string_view text, JsonPath::Syntax syntax, Arena& literals, Query& into);

}  // namespace plimsoll::contract::json_path
