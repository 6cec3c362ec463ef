#pragma once

#include <map>
#include <memory>
#include <string>

namespace plimsoll::client {
class Service;
}

namespace plimsoll::handler::forwarding {

/// The deployment's upstreams by name, of all contracts that are served together: `Services::of_generation`.
struct Upstreams {
  struct One {
    std::shared_ptr<client::Service> service;
    std::string host;
  };
  std::map<std::string, One, std::less<>> all;
  bool made = false;
};

}  // namespace plimsoll::handler::forwarding
