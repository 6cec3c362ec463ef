#include "plimsoll/testkit/service.hpp"

#include "plimsoll/database/engine.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/json/yaml.hpp"
#include "plimsoll/policy/authentication/development_key.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>

namespace plimsoll::testkit {
namespace {

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  if (!in) throw std::runtime_error(file + " cannot be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

/// The deployment with a database and services of the test, whose callers are those that the test makes up.
std::string deployment_of(const std::string& file, const std::string& database,
                          const std::map<std::string, const ScriptedUpstream*>& upstreams) {
  Arena arena;
  auto value = json::Value::object({});
  if (!file.empty()) {
    auto read = json::parse_yaml(arena.keep(text_of(file)), arena);
    if (!read) throw std::runtime_error(file + ": " + read.error().detail);
    if (read->is(json::Type::object)) value = *read;
  }
  for (const auto* own : {"authentication", "listen", "management", "tls"}) value.remove(own);
  auto place = json::Value::object({});
  place.set(arena, "url", json::Value::of(arena.keep(database)));
  value.set(arena, "database", place);
  const auto* declared = value.find("upstreams");
  auto services = declared && declared->is(json::Type::object) ? *declared : json::Value::object({});
  for (const auto& [name, upstream] : upstreams) {
    const auto* known = services.find(name);
    auto service = known && known->is(json::Type::object) ? *known : json::Value::object({});
    auto targets = json::Value::array({});
    targets.push(arena, json::Value::of(arena.keep(upstream->url())));
    service.set(arena, "targets", targets);
    services.set(arena, arena.keep(name), service);
  }
  if (!upstreams.empty()) value.set(arena, "upstreams", services);
  return json::to_string(value);
}

}  // namespace

struct Service::State {
  database::TestFolder folder;
  MovedClock clock;
  std::unique_ptr<database::ScratchDatabase> database;  // goes after the instance
  std::unique_ptr<server::Instance> instance;
  std::unique_ptr<Client> client;
};

void Service::refused(const Error& error) {
  auto text = error.detail.empty() ? std::string(error.problem->title) : error.detail;
  if (error.more_ && !error.more_->cause.empty()) text += ": " + error.more_->cause;
  throw std::runtime_error(text);
}

Service::Service(ServiceOptions options) : state_(std::make_unique<State>()) {
  auto& state = *state_;
  const database::Place beside{.url = options.database.empty() ? database::default_url("test") : options.database};
  const auto* engine = database::engine_of(beside.url);
  if (!engine || !engine->scratch) throw std::runtime_error("no test database can be made at " + options.database);
  auto made_database = engine->scratch(beside);
  if (!made_database) refused(made_database.error());
  state.database = std::move(*made_database);
  if (!options.migrations.empty()) {
    auto opened = engine->open({.url = state.database->url()}, {.purpose = database::Opening::Purpose::command});
    if (!opened) refused(opened.error());
    auto files = database::read_migrations(options.migrations);
    if (!files) refused(files.error());
    if (auto done = database::apply_migrations(*opened->database, *files, system_clock().wall()); !done)
      refused(done.error());
  }
  server::Settings settings;
  settings.quiet = true;
  settings.development = true;
  settings.clock = &state.clock;
  settings.config = state.folder / "plimsoll.yaml";
  std::ofstream(settings.config) << deployment_of(options.deployment, state.database->url(), options.upstreams);
  Application application{options.contract};
  if (options.program) options.program(application);
  auto made = application.instance(settings);
  if (!made) {
    std::string all;
    for (const auto& complaint : made.error()) all += contract::to_string(complaint) + "\n";
    throw std::runtime_error(all);
  }
  state.instance = std::move(*made);
  state.client = std::make_unique<Client>(*state.instance);
}
Service::~Service() = default;

Caller Service::as(std::string_view name, const CallerOptions& options) {
  const auto& instance = *state_->instance;
  const auto header = policy::development_header(
      instance.contract(), instance.services(),
      {.subject = std::string(name), .tenant = options.tenant, .roles = options.roles, .scopes = options.scopes});
  if (!header) refused(header.error());
  const auto colon = header->find(": ");
  return {*state_->client, {{header->substr(0, colon), header->substr(colon + 2)}}};
}
Caller Service::anonymous() { return {*state_->client, {}}; }
MovedClock& Service::clock() { return state_->clock; }
server::Instance& Service::instance() { return *state_->instance; }
int Service::run_jobs() { return state_->instance->services().backgrounds->run_due(); }

database::Rows Service::run(std::string_view statement, std::vector<database::Cell> parameters) {
  database::Rows kept;
  auto work = [&](database::Session& session) -> Task<Result<>> {
    auto rows = co_await session.query(statement, parameters);
    if (!rows) co_return std::unexpected(std::move(rows).error());
    kept = std::move(*rows);
    co_return Result<>{};
  };
  auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await state_->instance->services().database->write(loop, work);
    co_return written;
  });
  if (!done) refused(done.error());
  return kept;
}

Answer Caller::request(std::string_view method, std::string_view target, std::string_view body,
                       const HeaderList& headers) {
  auto all = headers;
  const auto add = [&](const std::string& name, std::string value) {
    for (const auto& [known, ignored] : all)
      if (known == name) return;
    all.emplace_back(name, std::move(value));
  };
  for (const auto& [name, value] : headers_) add(name, value);
  if (!body.empty()) add("content-type", "application/json");
  return client_.request(method, target, all, body);
}
Answer Caller::get(std::string_view target, const HeaderList& headers) { return request("GET", target, {}, headers); }
Answer Caller::post(std::string_view target, std::string_view body, const HeaderList& headers) {
  return request("POST", target, body, headers);
}
Answer Caller::put(std::string_view target, std::string_view body, const HeaderList& headers) {
  return request("PUT", target, body, headers);
}
Answer Caller::patch(std::string_view target, std::string_view body, const HeaderList& headers) {
  return request("PATCH", target, body, headers);
}
Answer Caller::remove(std::string_view target, const HeaderList& headers) {
  return request("DELETE", target, {}, headers);
}

}  // namespace plimsoll::testkit
