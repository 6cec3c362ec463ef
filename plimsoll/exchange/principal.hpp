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
  /// What is granted (scopes and roles) and claimed, each written out once by who verified the credential so that two
  /// are equal just when these are: for keys that depend on them. Empty: nobody has, whoever needs them does it anew.
  std::string_view grants_key{}, claims_key{};

  bool has_scope(std::string_view scope) const {
    for (auto s : scopes)
      if (s == scope || s == "*") return true;
    return false;
  }
};

}  // namespace plimsoll
