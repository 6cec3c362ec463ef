#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/exchange/background.hpp"
#include "plimsoll/exchange/shared.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::database {
class Database;
}
namespace plimsoll::store {
class Store;
}
namespace plimsoll::queue {
class Queue;
class Runner;
}  // namespace plimsoll::queue
namespace plimsoll::telemetry {
class Registry;
class Log;
}  // namespace plimsoll::telemetry
namespace plimsoll::contract {
class Contract;
}
namespace plimsoll::json {
class Value;
}

namespace plimsoll {

/// Bytes of a request's target where `limits.target` of the deployment says nothing: what listeners take, and so what
/// links that are given may have.
inline constexpr std::uint64_t kUsualTarget = 8 << 10;

class Threads;  // async/blocking.hpp

/// What the process has to offer to policies and handlers; the same for all threads. Null where the deployment has
/// none.
struct Services {
  database::Database* database = nullptr;
  store::Store* store = nullptr;
  queue::Queue* queue = nullptr;
  Threads* threads = nullptr;  ///< for what blocks
  telemetry::Registry* metrics = nullptr;
  telemetry::Log* log = nullptr;
  const Clock* clock = nullptr;
  const json::Value* deployment = nullptr;  ///< `plimsoll.yaml` as read, secrets filled in; null when there is none
  std::string deployment_file = "plimsoll.yaml";  ///< as it was named
  bool development = false;                       ///< `--dev`
  bool mock = false;   ///< every operation answers from its examples: nobody is asked who they are
  bool trial = false;  ///< nothing will be served: what a start would do is tried, and nothing may remain of it
  /// What parts have made for all operations and threads of the process, and what outlives a plan: limits, cached
  /// answers, keys, counters. Its keys are made of names that mean the same in the next plan. Never null.
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  /// What parts have made for this plan alone: what was read from its contract or its deployment. Never null.
  std::shared_ptr<Shared> of_plan = std::make_shared<Shared>();
  /// What parts have made once for all plans of one reading of the documents. Never null.
  std::shared_ptr<Shared> of_generation = std::make_shared<Shared>();
  /// Whoever uses the plan beyond the exchange that began the use (a cache fill) holds this; null where plans are never
  /// replaced (tests in process).
  std::weak_ptr<const void> in_use;
  /// All contracts that are served beside each other, that of the plan among them. Empty in tests of parts alone.
  std::vector<const contract::Contract*> contracts;
  /// What the plan's contract is called among several, for logs, labels and keys; empty: it is the only one.
  std::string version;
  /// What runs beside the requests; parts add to it while a plan is built.
  std::shared_ptr<Backgrounds> backgrounds = std::make_shared<Backgrounds>();
  /// Sentences for whoever starts the server; parts add to them while a plan is built. Never null.
  std::shared_ptr<std::vector<std::string>> remarks = std::make_shared<std::vector<std::string>>();
  /// The program's own jobs by kind (Application::job); the queue's workers take them from here.
  std::shared_ptr<std::map<std::string, std::unique_ptr<queue::Runner>, std::less<>>> runners;
};

}  // namespace plimsoll
