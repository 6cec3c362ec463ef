#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/json/value.hpp"

#include <cstddef>

namespace plimsoll::json {

/// A text that is not JSON. `detail` says what is wrong and where: "line 3, column 14: …".
inline constexpr Problem kMalformed{"malformed-json", 400, "The body is not JSON",
                                    "Send one JSON value as RFC 8259 defines it, in UTF-8, without duplicate keys."};

struct ParseLimits {
  std::size_t depth = 128;  ///< of nested arrays and objects
  bool positions = false;   ///< keep line and column of every value (documents; not request bodies)
};

/// Strict RFC 8259: UTF-8 checked, lone surrogates refused, duplicate keys refused, depth bounded, nothing after the
/// end. Strings without escapes and numbers are views into `text`, which must live as long as the value; the rest is in
/// `arena`.
Result<Value> parse(std::string_view text, Arena& arena, const ParseLimits& limits = {});

}  // namespace plimsoll::json
