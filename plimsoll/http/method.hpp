#pragma once

#include <string_view>

namespace plimsoll::http {

/// Whether requests of that method only read (RFC 9110, section 9.2.1; QUERY: RFC 10008, section 2).
constexpr bool is_safe(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "TRACE" || method == "QUERY";
}

/// Whether a request of that method means the same done once and twice (RFC 9110, section 9.2.2).
constexpr bool is_idempotent(std::string_view method) {
  return is_safe(method) || method == "PUT" || method == "DELETE";
}

}  // namespace plimsoll::http
