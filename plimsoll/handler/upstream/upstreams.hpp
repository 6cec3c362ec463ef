#pragma once

#include "plimsoll/handler/upstream/declared_paths.hpp"
#include "plimsoll/handler/upstream/mirror.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::client {
class Service;
}

namespace plimsoll::handler::forwarding {

/// The deployment's upstreams by name, of all contracts that are served together: `Services::of_generation`.
struct Upstreams {
  struct One {
    std::shared_ptr<client::Service> service;
    std::string host;
    std::vector<std::string> reserved{};                                          ///< `Passing::reserved`
    bool judges_callers = true;                                                   ///< by their own credentials
    std::map<std::string, std::shared_ptr<MirrorTarget>, std::less<>> mirrors{};  ///< by group, once one is needed
  };
  std::shared_ptr<MirrorCopies> copies{};
  std::map<std::string, One, std::less<>> all;
  bool made = false;

  /// Of each contract, made for the first operation that needs them. While a plan is built.
  std::map<const contract::Contract*, std::shared_ptr<const DeclaredPaths>> paths;
  std::shared_ptr<const DeclaredPaths> paths_of(const contract::Contract& contract) {
    auto& made = paths[&contract];
    if (!made) made = std::make_shared<const DeclaredPaths>(contract);
    return made;
  }
};

}  // namespace plimsoll::handler::forwarding
