#pragma once

#include "plimsoll/database/engine.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/application.hpp"
#include "plimsoll/testkit/client.hpp"

#include <fstream>
#include <functional>
#include <stdexcept>

namespace plimsoll::testkit {

/// An API served in this process from a contract, on a database of its own.
class Api {
 public:
  /// `before`: statements that are run on the database before it is served; `bind` gives the program its handlers;
  /// `deployment`: sections of `plimsoll.yaml`.
  explicit Api(const std::string& contract, const std::vector<std::string>& before = {},
               std::function<void(Application&)> bind = {}, std::string deployment = {}, const Clock* clock = nullptr)
      : contract_(contract), deployment_(std::move(deployment)), bind_(std::move(bind)), clock_(clock) {
    if (!before.empty()) {
      auto opened = database::engine_of(url())->open({.url = url()}, {.purpose = database::Opening::Purpose::command});
      if (!opened) throw std::runtime_error(opened.error().detail);
      for (auto& sql : before)
        if (auto done = run(*opened->database, sql); !done)
          throw std::runtime_error(sql + ": " + done.error().more().cause);
    }
    start();
  }
  /// The same API with a copy of another's data, secrets included. The other must be stopped.
  explicit Api(const Api& other, const Clock* clock = nullptr)
      : contract_(other.contract_), deployment_(other.deployment_), clock_(clock) {
    std::filesystem::copy_file(other.path("api.db"), folder_ / "api.db");
    start();
  }
  void stop() {
    client.reset();
    instance.reset();
  }
  bool start() {
    stop();
    std::ofstream(folder_ / "api.yaml") << contract_;
    std::ofstream(folder_ / "plimsoll.yaml") << "database: {url: '" << url() << "'}\n" << deployment_;
    server::Settings settings;
    settings.quiet = std::getenv("PLIMSOLL_TEST_LOG") == nullptr;
    settings.config = folder_ / "plimsoll.yaml";
    settings.contract = folder_ / "api.yaml";
    settings.clock = clock_;
    Application application{settings.contract};
    if (bind_) bind_(application);
    auto made = application.instance(settings);
    complaints.clear();
    if (!made) {
      for (auto& complaint : made.error()) complaints += contract::to_string(complaint) + "\n";
      return false;
    }
    instance = std::move(*made);
    client = std::make_unique<Client>(*instance);
    return true;
  }
  bool start(const std::string& contract) {
    contract_ = contract;
    return start();
  }

  static Result<database::Rows> run(database::Database& database, std::string_view sql,
                                    std::vector<database::Cell> cells = {}) {
    return database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
      database::Rows kept;
      auto done = co_await database.write(loop, [&](database::Session& session) -> Task<Result<>> {
        auto rows = co_await session.query(sql, cells);
        if (!rows) co_return std::unexpected(std::move(rows).error());
        kept = std::move(*rows);
        co_return Result<>{};
      });
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return kept;
    });
  }
  Result<database::Rows> sql(std::string_view sql, std::vector<database::Cell> cells = {}) {
    return run(*instance->services().database, sql, std::move(cells));
  }
  std::string path(const char* name) const { return folder_ / name; }

  std::unique_ptr<server::Instance> instance;
  std::unique_ptr<Client> client;
  std::string complaints;

 private:
  std::string url() const { return database::default_url(folder_ / "api"); }
  database::TestFolder folder_;
  std::string contract_, deployment_;
  std::function<void(Application&)> bind_;
  const Clock* clock_ = nullptr;
};

/// The value of a member of a JSON object, as JSON text.
inline std::string member(const std::string& body, std::string_view name) {
  static thread_local Arena arena;
  auto value = json::parse(arena.keep(body), arena);
  if (!value || !value->find(name)) return {};
  const auto& found = *value->find(name);
  if (found.is(json::Type::string)) return std::string(found.string());
  return json::to_string(found);
}

}  // namespace plimsoll::testkit
