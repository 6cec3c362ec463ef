#pragma once

#include "plimsoll/base/arena.hpp"

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

namespace plimsoll {

/// The parts of a request target (RFC 9112, section 3.2), still percent-encoded: views into it.
struct Target {
  enum class Form : std::uint8_t { origin, absolute, asterisk };
  Form form = Form::origin;
  std::string_view scheme, authority;  ///< of the absolute form, else empty
  std::string_view path, query;        ///< `query` without the `?`; an absolute target without path has the path `/`
  bool has_query = false;
};

/// Splits a target, or says what is wrong with it: other characters than a URI may have (those that browsers send
/// unencoded are taken), `%` without two hexadecimal digits in the path, a fragment, user information, a scheme that is
/// not http or https.
std::expected<Target, std::string_view> split_target(std::string_view target);

/// Host and optional port: `uri-host [ ":" port ]` (RFC 9110, section 7.2).
bool is_authority(std::string_view text);

/// `%41` becomes `A`; `plus`: `+` becomes a blank, as in forms. The same view when there is nothing to decode, else a
/// copy in the arena; nothing when a `%` is not followed by two hexadecimal digits.
std::optional<std::string_view> percent_decode(std::string_view text, Arena& arena, bool plus = false);

/// The pairs of a query, in order: `for (QueryPairs pairs{query}; auto pair = pairs.next();)`. Empty pairs (`&&`) are
/// skipped. Names and values are still encoded.
class QueryPairs {
 public:
  struct Pair {
    std::string_view name, value;
    bool has_value = false;  ///< there was a `=`
  };
  explicit QueryPairs(std::string_view query) : rest_(query) {}
  std::optional<Pair> next();

 private:
  std::string_view rest_;
};

}  // namespace plimsoll
