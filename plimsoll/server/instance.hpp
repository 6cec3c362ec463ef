#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/exchange/services.hpp"
#include "plimsoll/server/deployment.hpp"

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::edge {
class Service;
}

namespace plimsoll::server {

class Health;
class ReloadDesk;
class Site;

/// What is said on the command line; it wins over the deployment.
struct Settings {
  std::string contract;
  std::vector<std::string> versions;  ///< further contracts: versions of the API that are served beside the first
  std::vector<std::string> overlays;  ///< laid over each contract
  std::string config;                 ///< empty: `plimsoll.yaml` when there is one
  std::vector<std::string> listen;    ///< empty: the deployment's
  std::string management;             ///< empty: the deployment's
  bool mock_unbound = false;
  bool mock_all = false;              ///< every operation answers from its examples
  bool strict = false;                ///< with `mock_all`: a contract with faults is refused, as `serve` refuses it
  std::string upstream;               ///< URL: with `mock_all`, that server answers instead of the examples
  std::string responses = "enforce";  ///< how its answers are held against a contract that does not say so itself
  bool development = false;
  bool allow_faults = false;     ///< operators can make dependencies fail (client/faults.hpp)
  bool watch = false;            ///< reload when a file of the contract or the deployment changes
  const Clock* clock = nullptr;  ///< null: the machine's
  int log_descriptor = 2;
  bool quiet = false;  ///< no log at all (tests in process)
  /// Nothing is served: the database is read, and what a start would do to it is done to a copy without rows.
  bool dry_run = false;
};

using Problems = std::vector<const Problem*>;
using Runners = std::map<std::string, std::unique_ptr<queue::Runner>, std::less<>>;
using Handlers = std::map<std::string, std::unique_ptr<Handler>, std::less<>>;

/// What came of a reload.
struct Reloaded {
  bool documents_changed = false;                    ///< anything in contract or deployment
  std::vector<std::string> added, removed, changed;  ///< operations by id
  std::vector<std::string> restart;                  ///< keys of the deployment whose change needs a new process
  std::vector<std::string> opened, closed;           ///< addresses; by whoever has the listeners
  std::vector<std::string> remarks;                  ///< sentences for whoever asked
};

/// Contracts with everything they need to be served, without a listener: what `serve`, the test kit and a program that
/// links the library have in common. One process, and the generation of plans that is in force.
class Instance {
 public:
  /// Reads, checks, opens and compiles. All that is wrong is told at once. `problems`: what the handlers tell beside
  /// those of the house.
  static std::expected<std::unique_ptr<Instance>, contract::Complaints> create(const Settings& settings,
                                                                               Handlers handlers, Runners runners,
                                                                               Problems problems = {});
  /// The same in two steps: `read` is what depends on the user's files alone, and after it `management` can be served;
  /// `prepare` opens and migrates the database, which may take long and may fail for reasons of the environment.
  static std::expected<std::unique_ptr<Instance>, contract::Complaints> read(const Settings& settings,
                                                                             Handlers handlers, Runners runners,
                                                                             Problems problems = {});
  contract::Complaints prepare();
  /// What the listeners of the deployment would be rejected for, without opening them.
  contract::Complaints check_listeners() const;
  /// The last error was the environment's: the same may succeed later.
  bool retryable() const;
  ~Instance();

  /// Called, from any thread, when a step of `prepare` begins: what it is, and on what.
  void on_phase(std::function<void(std::string_view what, std::string_view detail)> told);
  /// Breaks off what `prepare` does with the database now. Safe from any thread.
  void interrupt() noexcept;

  /// What listeners serve.
  std::shared_ptr<edge::Service> service() const;
  std::shared_ptr<edge::Service> management_service() const;
  /// Reads contracts and deployment again and builds plans beside those in force. When all of it is good, `replace` is
  /// called, which gives the listeners what `service` and `management_service` are from then on; else what is in force
  /// stays as it was. Called from one thread at a time, after `serving`. Ends within 10 s beyond what building
  /// takes.
  /// `prepare` is called before that, with the new deployment: where it has a complaint, all stays as it was.
  std::expected<Reloaded, contract::Complaints> reload(
      const std::function<contract::Complaints(const Deployment&)>& prepare, const std::function<void()>& replace);

  /// The database was moved, deleted or replaced, and it is time to look at what is at its place now.
  bool may_restore_database() const;
  /// Opens it again, with the checks of a start, and builds plans from the documents in force on it; `replace` as in
  /// `reload`. Where anything is wrong it stays refused, and readiness says why.
  void restore_database(const std::function<void()>& replace);

  /// Begins what runs beside the requests; `stop` ends it (the destructor does too).
  Result<> start();
  /// From now on requests can come, and readiness is judged.
  void serving();
  /// What runs beside the requests takes on nothing new, and has so long for the rest.
  void drain(Nanoseconds grace);
  void stop();

  Site& management();
  const Services& services() const;            ///< of the first contract
  const contract::Contract& contract() const;  ///< the first
  /// All of them, each with where its requests go.
  struct Served {
    const contract::Contract& contract;
    std::string base;          ///< the base path that only its requests have; empty: they have others
    std::string header, name;  ///< the header that chooses it, and its value; empty: none does
    std::string docs;          ///< path of its documentation
    /// What stands behind that path to fill in the credentials that `--dev` has made: they stay in the browser, as no
    /// fragment is ever sent. Empty: there are none.
    std::string development{};
  };
  std::vector<Served> served() const;
  const Deployment& deployment() const;
  /// What the program's own handlers tell, beside the table of the house (server/problems.hpp).
  const Problems& own_problems() const;
  /// Sentences for whoever starts it: defaults that are on, warnings.
  const std::vector<std::string>& remarks() const;
  /// Whether a reload follows each change of `files`.
  bool watch() const;
  /// All that what is in force was read from.
  std::vector<std::string> files() const;
  /// When they were begun to be read last, by the wall clock of the machine.
  Nanoseconds read_at() const;
  /// What is served of the process's life: liveness and readiness.
  Health& health();
  /// Where a reload can be asked for.
  ReloadDesk& reload_desk();

 private:
  Instance();
  struct State;
  std::unique_ptr<State> state_;
};

/// The contract alone, loaded with the keys of all parts: for `lint`, `routes`, `bundle`. `tolerant`: see
/// contract::LoadOptions.
std::expected<std::shared_ptr<const contract::Contract>, contract::Complaints> load_contract(
    const std::string& file, const std::vector<std::string>& overlays, bool tolerant = false);

}  // namespace plimsoll::server
