#pragma once

#include "plimsoll/schema/graph.hpp"

namespace plimsoll::schema {

/// What a keyword's value must be.
enum class Shape : std::uint8_t {
  schema,
  schemas,     ///< a list of at least one
  schema_map,  ///< by name
  tuple,       ///< a schema, or before 2020-12 a list
  pattern_map,
  dependency_map,  ///< names or a schema, by name
  reference,
  any,
  list,
  type,
  number,
  divisor,
  count,
  boolean,
  pattern,
  format,
  names,
  name_map,
};

/// Vocabularies of 2020-12, as bits.
enum Vocabulary : std::uint8_t {
  kCore = 1,
  kApplicator = 2,
  kUnevaluated = 4,
  kValidation = 8,
  kFormat = 16,
  kFormatAssertion = 32,
  kContent = 64,
};

/// The editions of the language that can be read. Earlier ones only as far as references lead into them.
enum class Edition : std::uint8_t { draft7, draft2019_09, draft2020_12, openapi30 };

struct KeywordRule {
  std::string_view name;
  Word word;
  Shape shape;
  Vocabulary vocabulary;
  bool openapi30;  ///< OpenAPI 3.0 has it too
};

/// The rule of a keyword that says something in this edition; null for all others.
const KeywordRule* find_rule(std::string_view name, Edition edition);
/// Whether one slip of the pen lies between two names: a letter is missing, too much or another, or two have changed
/// places. Capitals are no difference. Of a short name only what cannot be another word is a slip.
bool slipped(std::string_view written, std::string_view meant);

/// The keyword that was meant by a name that is none, one slip away.
struct MeantKeyword {
  std::string_view name{};  ///< empty: nothing is near
  bool decides = false;     ///< what is accepted, stored or shown depends on it; else it is a remark
};
MeantKeyword meant_keyword(std::string_view name, Edition edition);

}  // namespace plimsoll::schema
