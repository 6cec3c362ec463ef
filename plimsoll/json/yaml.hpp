#pragma once

#include "plimsoll/json/parse.hpp"

namespace plimsoll::json {

inline constexpr Problem kMalformedYaml{"malformed-yaml", 400, "The file is not YAML",
                                        "Correct the line; the file must be YAML 1.2 with the core schema."};

/// Reads YAML 1.2 (core schema, one document) into the same value as JSON, with positions. Duplicate keys are refused,
/// merge keys (`<<`) merged, anchors expanded within a bound on the size. A text whose first character is `{` or `[` is
/// read as JSON.
Result<Value> parse_yaml(std::string_view text, Arena& arena, const ParseLimits& limits = {.positions = true});

}  // namespace plimsoll::json
