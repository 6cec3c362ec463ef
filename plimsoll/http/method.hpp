#pragma once

#include <string_view>

namespace plimsoll::http {

/// Whether requests of that method only read (RFC 9110, section 9.2.1; QUERY: RFC 10008, section 2).
constexpr bool is_safe(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" || method == "QUERY";
}

}  // namespace plimsoll::http
