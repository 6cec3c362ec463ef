#pragma once

#include <map>
#include <mutex>
#include <string>

namespace plimsoll {

/// What `--dev` has made for the security schemes of a plan that nothing else verifies: by the scheme's name in the
/// contract, a token or a key that is good for the life of the process. Kept with the plan
/// (`of_plan->of<DevelopmentCredentials>()`), so that the start can say where they are to be used.
struct DevelopmentCredentials {
  std::mutex mutex;
  std::map<std::string, std::string> by_scheme;
};

}  // namespace plimsoll
