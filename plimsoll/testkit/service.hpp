#pragma once

#include "plimsoll/exchange/rows.hpp"
#include "plimsoll/server/application.hpp"
#include "plimsoll/testkit/client.hpp"
#include "plimsoll/testkit/scripted_upstream.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::testkit {

/// A clock that goes on by itself, and that a test sets forward: what expires, is limited or is kept for a while sees
/// the time that the test wants.
class MovedClock final : public Clock {
 public:
  Nanoseconds steady() const override { return system_clock().steady() + ahead_.load(); }
  Nanoseconds wall() const override { return system_clock().wall() + ahead_.load(); }
  void advance(std::chrono::nanoseconds by) { ahead_.fetch_add(by.count()); }

 private:
  std::atomic<Nanoseconds> ahead_{0};
};

/// Who sends the requests of a test.
struct CallerOptions {
  std::string tenant{};
  std::vector<std::string> roles{};   ///< of the deployment
  std::vector<std::string> scopes{};  ///< beside those of the roles
};

/// Sends requests as one caller, each as JSON.
class Caller {
 public:
  Caller(Client& client, HeaderList headers) : client_(client), headers_(std::move(headers)) {}
  Answer get(std::string_view target, const HeaderList& headers = {});
  Answer post(std::string_view target, std::string_view body = {}, const HeaderList& headers = {});
  Answer put(std::string_view target, std::string_view body, const HeaderList& headers = {});
  Answer patch(std::string_view target, std::string_view body, const HeaderList& headers = {});
  Answer remove(std::string_view target, const HeaderList& headers = {});
  Answer request(std::string_view method, std::string_view target, std::string_view body = {},
                 const HeaderList& headers = {});

 private:
  Client& client_;
  HeaderList headers_;
};

struct ServiceOptions {
  std::string contract;                         ///< file
  std::string deployment{};                     ///< file; empty: none. Its database and its issuers are replaced
  std::string migrations{};                     ///< folder, applied to the database of the test; empty: none
  std::function<void(Application&)> program{};  ///< binds the handlers, as `main` does
  /// URL of a server for tests (`postgres://…`): the service has a database of its own there, on PostgreSQL a schema;
  /// empty: a SQLite file of its own.
  std::string database{};
  /// What stands for the `upstreams` of the deployment, by their names. They outlive the service.
  std::map<std::string, const ScriptedUpstream*> upstreams{};
};

/// A service in this process, without a socket, on a database of its own that ends with it. Each request goes through
/// the whole chain. What refuses the start is thrown as std::runtime_error.
class Service {
 public:
  explicit Service(ServiceOptions options);
  ~Service();

  /// A caller by name: its subject. It may do what its roles and scopes allow.
  Caller as(std::string_view name, const CallerOptions& options = {});
  /// A caller without credentials.
  Caller anonymous();
  MovedClock& clock();
  server::Instance& instance();
  /// Runs the jobs that are due by the clock, until none is; they run nowhere else. Gives how many attempts there were.
  /// What failed falls due again: `clock().advance(…)`.
  int run_jobs();

  /// The rows of a statement, each as a struct or as its only value.
  template <class T = database::Cell, class... A>
  std::vector<T> sql(std::string_view statement, const A&... parameters) {
    auto rows = run(statement, {rows::cell(parameters)...});
    std::vector<T> all;
    if constexpr (!std::same_as<T, database::Cell>)
      for (auto& row : rows) {
        auto one = rows::made<T>(row);
        if (!one) refused(one.error());
        all.push_back(std::move(*one));
      }
    return all;
  }

 private:
  database::Rows run(std::string_view statement, std::vector<database::Cell> parameters);
  [[noreturn]] static void refused(const Error& error);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace plimsoll::testkit
