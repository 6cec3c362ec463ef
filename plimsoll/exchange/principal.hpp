#pragma once

#include "plimsoll/json/value.hpp"

#include <span>
#include <string_view>

namespace plimsoll {

/// Who asks, as authentication found out. In the arena of the exchange.
struct Principal {
  std::string_view subject;                  ///< stable id of the caller
  std::string_view scheme;                   ///< name of the security scheme that vouched
  std::string_view tenant;                   ///< empty: none
  std::span<const std::string_view> scopes;  ///< granted, roles expanded
  std::span<const std::string_view> roles;
  const json::Value* claims = nullptr;  ///< of a token; null for keys

  bool has_scope(std::string_view scope) const {
    for (auto s : scopes)
      if (s == scope || s == "*") return true;
    return false;
  }
};

}  // namespace plimsoll
