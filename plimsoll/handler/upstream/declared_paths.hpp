#pragma once

#include "plimsoll/contract/router.hpp"

#include <string_view>
#include <vector>

namespace plimsoll::handler::forwarding {

/// Which paths a service may take for one of another operation than the one that the contract's router found, or for
/// one outside its folder: what is demanded of that other one has not been seen to. It judges as
/// contract/lookalikes.hpp does for paths that nobody declares.
class DeclaredPaths {
 public:
  explicit DeclaredPaths(const contract::Contract& contract);
  /// Whether `path`, which leads to `operation`, can be passed on as it is.
  bool is_clear(const contract::Operation& operation, std::string_view path) const;

 private:
  contract::Router router_;
  /// By operation, the first whose template reads the same: what the router gives for all of them. Null: not in it.
  std::vector<const contract::Operation*> first_;
};

}  // namespace plimsoll::handler::forwarding
