#pragma once

#include "plimsoll/contract/compiled.hpp"

namespace plimsoll::contract {

/// Where an operation is reached.
struct Route {
  std::vector<std::string> bases;  ///< paths of its servers
  const json::Member* path;        ///< its entry of `paths`
  std::string pointer;             ///< of that entry
  bool parameters_unread = false;  ///< some parameter cannot be read, which has been said: it may be any
};

/// Gives the contract's router each operation at each of its base paths, by `routes` in the order of the operations,
/// and complains of templates that are none, that match the same requests, or do not fit the declared parameters.
void add_routes(Compiled& made, std::span<const Route> routes, Report& report);

}  // namespace plimsoll::contract
