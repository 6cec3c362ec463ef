#pragma once

#include <map>
#include <memory>
#include <string>

namespace plimsoll::client {
class Service;
}

namespace plimsoll::handler::forwarding {

/// The upstreams of a plan by name: `Services::of_plan`.
struct Upstreams {
  struct One {
    std::shared_ptr<client::Service> service;
    std::string host;
  };
  std::map<std::string, One, std::less<>> all;
};

}  // namespace plimsoll::handler::forwarding
