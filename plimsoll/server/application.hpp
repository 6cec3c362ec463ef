#pragma once

#include "plimsoll/database/engine.hpp"
#include "plimsoll/exchange/arguments.hpp"
#include "plimsoll/exchange/configuration.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/chain.hpp"
#include "plimsoll/server/instance.hpp"

#include <memory>
#include <string>
#include <utility>

namespace plimsoll {

/// A program that serves a contract, with operations of its own in C++.
///
///     plimsoll::Application application{"shop.yaml"};
///     application.on("getBook", [](Database database, Parameter<"id", int> id) -> Task<Result<Json<Book>>> { … });
///     return application.run(argc, argv);
///
/// An operation without a handler refuses to start, and so do a handler without an operation and one that takes or
/// gives what the contract does not declare (exchange/arguments.hpp).
class Application {
 public:
  explicit Application(std::string contract);
  ~Application();

  /// Answers the operation of that `operationId` by the function. It lives as long as the server and is called from
  /// every I/O thread.
  template <class F>
    requires(!std::convertible_to<F, std::unique_ptr<Handler>>)
  Application& on(std::string operation_id, F function) {
    return on(std::move(operation_id), std::unique_ptr<Handler>(std::make_unique<Function<F>>(std::move(function))));
  }
  Application& on(std::string operation_id, std::unique_ptr<Handler> handler);

  /// Runs the jobs of that kind, which the deployment says `run: c++` of, or nothing: by
  /// `function(queue::Execution&) -> Task<Result<queue::Output>>`, or by a runner (queue/workers.hpp).
  template <class F>
    requires(!std::convertible_to<F, std::unique_ptr<queue::Runner>>)
  Application& job(std::string kind, F function) {
    return job(std::move(kind),
               std::unique_ptr<queue::Runner>(std::make_unique<queue::FunctionRunner<F>>(std::move(function))));
  }
  Application& job(std::string kind, std::unique_ptr<queue::Runner> runner);

  /// Declares a problem that handlers of the program answer with, so that it has its page under /problems. Its code is
  /// none of the server's (`plimsoll problems`).
  Application& problem(DeclaredProblem problem);

  /// Adds a policy of the program, declared as the server's own are (exchange/part.hpp): `x-plimsoll` knows its key
  /// from then on, with options, defaults and unknown-key checks, and its problems, metrics and modes are treated like
  /// any other's. It stands in every operation's chain before or after the policy whose key is `beside`:
  ///
  ///     application.policy(quota, server::Side::after, "authentication");
  Application& policy(const Part& part, server::Side side, std::string_view beside);

  /// Adds a way of answering operations, which `x-plimsoll` chooses by the handling's key, as it does `table` or `job`
  /// (exchange/handling.hpp).
  Application& handling(const Handling& handling);

  /// Adds a kind of database, which the URL of the deployment chooses by its scheme, as it does `sqlite:`
  /// (database/engine.hpp).
  Application& engine(const database::Engine& engine);

  /// Declares the program's own section of `plimsoll.yaml`, the options of T (exchange/configuration.hpp).
  template <class T>
  Application& configuration() {
    return section(section_of<T>);
  }
  /// The section lives as long as the program.
  Application& section(const config::Section& section);
  Application& section(const config::Section&& section) = delete;

  /// Serves another contract beside it, a version of the API (docs/versions.md). Operations of both are answered by the
  /// handler of their operationId.
  Application& version(std::string contract);

  /// Lays an overlay over each contract (Overlay 1.0), before those of the command line.
  Application& overlay(std::string file);

  /// Serves until SIGTERM or SIGINT, with the options of `plimsoll serve` (the contract is the program's). The exit
  /// status: 0 terminated on request, 2 the user has to correct something, 75 the environment refused for longer than
  /// `limits: {start-patience}` (EX_TEMPFAIL: starting again may succeed).
  int run(int argc, char** argv);
  /// The same with settings that are read already; says on standard output where it listens.
  int serve(server::Settings settings);
  /// The instance without a listener, for tests without sockets (testkit/client.hpp). May be called once.
  std::expected<std::unique_ptr<server::Instance>, contract::Complaints> instance(server::Settings settings = {});

 private:
  /// Fills in what is the program's.
  void refuse(const Result<>& added);
  server::Settings completed(server::Settings settings) const;
  std::string contract_;
  std::vector<std::string> versions_, overlays_;
  server::Handlers handlers_;
  server::Runners runners_;
  server::Problems problems_;
  contract::Complaints mistakes_;  ///< of the program; they refuse its start
};

}  // namespace plimsoll
