#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll {

/// A way in which a request can be refused. Declared once, beside the code that refuses; an Error points to it, so
/// there is no undeclared code and no look-up. The pages under /problems are made from the lists of the parts.
struct Problem {
  std::string_view code;    ///< kebab-case, the last segment of `type`
  std::uint16_t status;     ///< HTTP status
  std::string_view title;   ///< short, the same for every occurrence (RFC 9457, section 3.1.3)
  std::string_view remedy;  ///< what the caller can do about it
  bool retryable = false;   ///< the same request may succeed later
  bool internal = false;    ///< the detail of its errors is for the log alone
};

}  // namespace plimsoll
