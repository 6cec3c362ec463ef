#include "plimsoll/server/instance.hpp"

#include "plimsoll/async/blocking.hpp"
#include "plimsoll/async/patience.hpp"
#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/sqlite_files.hpp"
#include "plimsoll/edge/server.hpp"
#include "plimsoll/handler/docs/assets.hpp"
#include "plimsoll/handler/hide.hpp"
#include "plimsoll/handler/mock/credentials.hpp"
#include "plimsoll/handler/upstream/upstream.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/policy/verifiers.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/complaints.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/health.hpp"
#include "plimsoll/server/log_level.hpp"
#include "plimsoll/server/observe.hpp"
#include "plimsoll/server/problems.hpp"
#include "plimsoll/server/scratch_database.hpp"
#include "plimsoll/server/site.hpp"
#include "plimsoll/server/words.hpp"
#include "plimsoll/server/write_probe.hpp"
#include "plimsoll/store/memory.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <unistd.h>
#include <filesystem>
#include <mutex>

namespace plimsoll::server {
namespace {

constexpr unsigned kBlockingThreads = 4;

std::string without_end(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

contract::Complaint complaint(const contract::Contract& contract, const contract::Operation& operation,
                              std::string code, std::string what, std::string remedy) {
  return {.code = std::move(code),
          .file = operation.file.empty() ? contract.file : operation.file,
          .at = operation.raw ? operation.raw->position() : json::Position{},
          .pointer = operation.pointer,
          .what = std::move(what),
          .remedy = std::move(remedy)};
}

}  // namespace

struct Instance::State {
  Settings settings;
  Deployment deployment;
  std::shared_ptr<const contract::Contract> contract;
  telemetry::Registry metrics;
  std::unique_ptr<telemetry::Log> log;
  std::unique_ptr<Threads> threads;
  std::unique_ptr<ScratchDatabase> scratch;  ///< of a dry run
  std::unique_ptr<database::Database> database;
  std::unique_ptr<store::Store> store;
  Services services;
  std::unique_ptr<WriteProbe> probe;
  Health health;
  std::vector<std::string> remarks;
  bool retryable = false;
  Problems problems;  ///< of the program's own handlers
  Handlers handlers;  ///< of the program, until they are built in
  std::function<void(std::string_view, std::string_view)> told;
  std::mutex mutex;  ///< of `breakable`
  database::Database* breakable = nullptr;
  std::unique_ptr<Site> site, management;            // their policies and handlers use all of the above
  std::vector<telemetry::Observation> observations;  // last: they read all of the above

  contract::Complaints open();
  contract::Complaints open_database();
  contract::Complaints migrate();
  contract::Complaints build(Handlers handlers);
  contract::Complaints mount_management();
  contract::Complaints mount();
  void phase(std::string_view what, std::string_view detail = {}) const {
    if (told) told(what, detail);
  }
  Result<std::unique_ptr<Handler>> handler_of(const contract::Operation& operation, Handlers& bound,
                                              contract::Complaints& complaints);
  bool needs_database(const Handlers& handlers) const;
};

Instance::Instance() : state_(std::make_unique<State>()) {}
Instance::~Instance() { stop(); }

namespace {

using Augment = std::function<void(contract::Draft&)>;

std::expected<std::shared_ptr<const contract::Contract>, contract::Complaints> load_contract(
    const std::string& file, const std::vector<std::string>& overlays, Augment more) {
  const auto keys = contract_keys();
  const auto later = later_words();
  contract::LoadOptions options{.file = file, .overlays = overlays, .keys = keys, .later_words = later};
  for (const auto* each : handlings())
    if (each->augment) options.augment.emplace_back(each->augment);
  if (more) options.augment.push_back(std::move(more));
  return contract::load(options);
}

/// How answers are held against the contract, where its document does not say so itself.
void say_responses(contract::Draft& draft, std::string_view how) {
  auto* extension = draft.root.find("x-plimsoll");
  if (!extension) {
    draft.root.set(draft.arena, "x-plimsoll", json::Value::object({}));
    extension = draft.root.find("x-plimsoll");
  }
  if (extension->is(json::Type::object) && !extension->find("responses"))
    extension->set(draft.arena, "responses", json::Value::of(draft.arena.keep(how)));
}

}  // namespace

std::expected<std::shared_ptr<const contract::Contract>, contract::Complaints> load_contract(
    const std::string& file, const std::vector<std::string>& overlays) {
  return load_contract(file, overlays, nullptr);
}

std::expected<std::unique_ptr<Instance>, contract::Complaints> Instance::create(const Settings& settings,
                                                                                Handlers handlers, Runners runners,
                                                                                Problems problems) {
  auto made = read(settings, std::move(handlers), std::move(runners), std::move(problems));
  if (!made) return made;
  if (auto complaints = (*made)->prepare(); !complaints.empty()) return std::unexpected(std::move(complaints));
  auto& state = *(*made)->state_;
  state.health.serving(state.services, nullptr);
  return made;
}

std::expected<std::unique_ptr<Instance>, contract::Complaints> Instance::read(const Settings& settings,
                                                                              Handlers handlers, Runners runners,
                                                                              Problems problems) {
  std::unique_ptr<Instance> made{new Instance};
  auto& state = *made->state_;
  state.settings = settings;
  state.problems = std::move(problems);
  auto deployment = read_deployment(settings.config);
  Augment more;
  if (!settings.upstream.empty()) more = [&](contract::Draft& draft) { say_responses(draft, settings.responses); };
  auto contract = load_contract(settings.contract, settings.overlays, std::move(more));
  if (!deployment || !contract) {  // both are told: whoever starts it corrects them in one go
    contract::Complaints all;
    if (!contract) all = std::move(contract).error();
    if (!deployment) all.insert(all.end(), deployment.error().begin(), deployment.error().end());
    return std::unexpected(std::move(all));
  }
  state.deployment = std::move(*deployment);
  state.contract = std::move(*contract);
  if (!settings.listen.empty()) state.deployment.listen = settings.listen;
  if (!settings.management.empty()) state.deployment.management = settings.management;
  if (!settings.upstream.empty())
    if (auto behind = handler::upstream(settings.upstream, state.services); !behind)
      return std::unexpected(contract::Complaints{{.code = std::string(behind.error().problem->code),
                                                   .what = "--upstream: " + behind.error().detail,
                                                   .remedy = std::string(behind.error().problem->remedy)}});
  auto complaints = state.open();
  for (const auto& entry : problem_table())
    for (const auto* own : state.problems)
      if (own->code == entry.problem->code && own != entry.problem)
        complaints.push_back(
            {.code = "problem-declared-twice",
             .file = settings.contract,
             .what = "the program declares the problem " + std::string(own->code) + ", which is the server's",
             .remedy = "Give it another code; `plimsoll problems` lists those that are taken."});
  state.services.runners = std::make_shared<Runners>(std::move(runners));
  state.handlers = std::move(handlers);
  if (!settings.mock_all)
    if (auto used = policy::check_authentication(*state.contract, state.deployment.root); !used)
      complaints.push_back(complaint_of(used.error(), *state.contract, {}, state.deployment.file));
  if (complaints.empty()) complaints = state.mount_management();
  if (!complaints.empty()) return std::unexpected(std::move(complaints));
  return made;
}

contract::Complaints Instance::prepare() {
  auto& state = *state_;
  const auto& settings = state.settings;
  contract::Complaints complaints;
  if (state.needs_database(state.handlers)) complaints = state.open_database();
  state.phase("preparing tables and operations");
  if (complaints.empty()) complaints = state.build(std::move(state.handlers));
  if (complaints.empty()) complaints = state.mount();
  if (!complaints.empty()) return complaints;
  if (state.database && !settings.quiet) {
    state.phase("writing to the database");
    state.probe = std::make_unique<WriteProbe>(*state.database, state.log.get(), *state.services.clock);
    if (auto first = state.probe->first(); !first)
      return {{.code = std::string(first.error().problem->code),
               .what = "the database takes no writes: " + database::reason_of(first.error()),
               .remedy = database::remedy_of(first.error())}};
  }
  contract::Printer printer;
  for (const auto& warning : state.contract->warnings) state.remarks.push_back(without_end(printer.text(warning)));
  if (!settings.upstream.empty())
    state.remarks.push_back("plimsoll: what the contract allows goes to " + settings.upstream);
  const auto& said = *state.services.remarks;
  state.remarks.insert(state.remarks.end(), said.begin(), said.end());
  return {};
}

contract::Complaints Instance::State::open() {
  const auto& clock = settings.clock ? *settings.clock : system_clock();
  const bool text = deployment.telemetry.format == "text" ||
                    (deployment.telemetry.format == "auto" && ::isatty(settings.log_descriptor));
  const auto level = settings.quiet ? telemetry::Level::off : deployment.telemetry.log;
  log = std::make_unique<telemetry::Log>(settings.log_descriptor, level,
                                         text ? telemetry::Log::Format::text : telemetry::Log::Format::json, clock);
  threads = std::make_unique<Threads>(kBlockingThreads);
  store = std::make_unique<store::Memory>(store::MemoryOptions{}, clock);
  services = {.store = store.get(),
              .threads = threads.get(),
              .metrics = &metrics,
              .log = log.get(),
              .clock = &clock,
              .deployment = deployment.root,
              .deployment_file = deployment.file.empty() ? "plimsoll.yaml" : deployment.file,
              .development = settings.development,
              .mock = settings.mock_all};
  return {};
}

/// Nothing is opened, and no file is made, for a contract that only answers from its examples.
bool Instance::State::needs_database(const Handlers& handlers) const {
  if (deployment.names_database || !handlers.empty()) return true;
  if (settings.mock_all) return false;
  for (const auto& operation : contract->operations)
    for (const auto& extension : operation.extensions)
      if (const auto* way = handling(extension.key); way && way->key.name != "mock") return true;
  return false;
}

contract::Complaints Instance::State::open_database() {
  namespace fs = std::filesystem;
  auto options = deployment.database.sqlite;
  options.path = deployment.database.url.empty() ? fs::path(settings.contract).stem().string() + ".db"
                                                 : deployment.database.url.substr(std::string_view("sqlite:").size());
  options.log = log.get();
  phase("opening the database", options.path);
  if (!settings.quiet)
    if (const auto left = database::inspect_wal(options.path); left && (left->kept || left->dropped))
      log->write(left->dropped ? telemetry::Level::warning : telemetry::Level::info, "database-recovered",
                 [&](telemetry::Line& line) {
                   line.add("log_frames_applied", left->kept).add("log_frames_dropped", left->dropped);
                   if (left->dropped)
                     line.add("effect",
                              "a transaction that was under way when a process died is not applied; nothing "
                              "that was acknowledged is lost");
                 });
  const auto path = options.path;
  const auto open = [&]() -> Result<std::unique_ptr<database::Database>> {
    if (settings.dry_run) {
      auto made = ScratchDatabase::of(options);
      if (!made) return std::unexpected(std::move(made).error());
      scratch = std::move(*made);
      options.path = scratch->path();
    }
    return database::open_sqlite(options);
  };
  auto* patience = Patience::current();
  auto opened = patience ? patience->retry(open) : open();
  if (!opened) retryable = opened.error().retryable;
  if (!opened)
    return {{.code = "database",
             .file = deployment.file.empty() ? settings.contract : deployment.file,
             .what = "the database " + path + " cannot be opened: " + database::reason_of(opened.error()),
             .remedy = database::remedy_of(opened.error())}};
  database = std::move(*opened);
  services.database = database.get();
  {
    const std::scoped_lock lock(mutex);
    breakable = database.get();
  }
  return migrate();
}

/// Brings the database to where its migrations lead. Instances that start at once apply each file once.
contract::Complaints Instance::State::migrate() {
  namespace fs = std::filesystem;
  auto folder = deployment.database.migrations;
  if (folder.empty()) folder = (fs::path(settings.contract).parent_path() / "migrations").string();
  const auto refused = [&](const Error& error) -> contract::Complaints {
    retryable = error.retryable;
    if (error.problem == &database::kUnavailable)
      return {{.code = std::string(error.problem->code),
               .file = folder,
               .what = "the migrations cannot be applied: " + database::reason_of(error),
               .remedy = database::remedy_of(error)}};
    return {{.code = "migration",
             .file = folder,
             .what = error.detail,
             .remedy = "Correct the migrations; `plimsoll migrate status` tells what is applied."}};
  };
  auto files = database::read_migrations(folder);
  if (!files) return refused(files.error());
  if (files->empty()) return {};
  phase("applying migrations");
  const auto begins = [&](std::string_view name) {
    phase("applying a migration", name);
    log->write(telemetry::Level::info, "migration", [&](telemetry::Line& line) { line.add("name", name); });
  };
  auto applied = database::apply_migrations(*database, *files, services.clock->wall(), begins);
  if (!applied) return refused(applied.error());
  for (const auto& name : *applied) remarks.push_back("applied migration " + name);
  return {};
}

Result<std::unique_ptr<Handler>> Instance::State::handler_of(const contract::Operation& operation, Handlers& bound,
                                                             contract::Complaints& complaints) {
  const Build build{*contract, operation, services};
  const auto* mock = handling("mock");
  static const json::Value nothing = json::Value::object({});
  if (settings.mock_all) {
    if (settings.upstream.empty()) return mock->build(nothing, build);
    auto behind = handler::upstream(settings.upstream, services);
    if (!behind) return behind;
    return handler::mocking::with_credentials(operation, std::move(*behind));
  }

  const Handling* way = nullptr;
  const json::Value* options = nullptr;
  for (const auto& extension : operation.extensions)
    if (const auto* found = handling(extension.key)) {
      if (way) {
        complaints.push_back(complaint(*contract, operation, "two-handlers",
                                       "operation " + operation.id + " is answered by both `" +
                                           std::string(way->key.name) + "` and `" + std::string(found->key.name) + "`",
                                       "Keep one of them."));
        return nullptr;
      }
      way = found;
      options = extension.value;
    }
  if (const auto own = bound.find(operation.id); own != bound.end()) {
    auto handler = std::move(own->second);
    bound.erase(own);
    if (!way) return handler;
    complaints.push_back(complaint(
        *contract, operation, "two-handlers",
        "operation " + operation.id + " is answered by `" + std::string(way->key.name) + "` and by the program",
        "Keep one of them."));
    return nullptr;
  }
  if (way) return way->build(*options, build);
  if (settings.mock_unbound && mock) return mock->build(nothing, build);
  complaints.push_back(complaint(
      *contract, operation, "unbound-operation",
      "operation " + operation.id + " (" + operation.method + " " + operation.path + ") has nothing that answers it",
      "Give it `table`, `job` or `mock` in `x-plimsoll`, bind a handler in C++, or start with --mock-unbound."));
  return nullptr;
}

contract::Complaints Instance::State::build(Handlers bound) {
  contract::Complaints complaints;
  if (!settings.mock_all)
    for (const auto* each : handlings())
      if (each->provide) each->provide(*contract, services, complaints);
  if (!complaints.empty()) return complaints;
  if (!settings.mock_all)
    for (const auto* each : handlings())
      if (each->prepare) each->prepare(*contract, services, complaints);
  // Advice is said, and refuses nothing.
  std::erase_if(complaints, [&](const contract::Complaint& each) {
    const bool advice = each.severity == contract::Complaint::Severity::warning;
    if (advice) remarks.push_back(without_end(contract::Printer{}.text(each)));
    return advice;
  });
  if (!complaints.empty()) return complaints;
  std::vector<std::unique_ptr<Handler>> handlers;
  for (const auto& operation : contract->operations) {
    const auto before = complaints.size();
    auto handler = handler_of(operation, bound, complaints);
    // Tables show what the schema of their rows allows; for all others it is seen to here.
    if (handler && *handler && !operation.extension("table"))
      handler = handler::hide_write_only(std::move(*handler), {*contract, operation, services});
    if (!handler) {
      auto error = handler.error();
      if (!config::located(error.detail).at.line) error.detail = "operation " + operation.id + ": " + error.detail;
      complaints.push_back(complaint_of(error, *contract, operation, services.deployment_file));
    } else if (!*handler && complaints.size() == before)
      complaints.push_back(complaint(*contract, operation, "unbound-operation",
                                     "operation " + operation.id + " has no handler", "Correct its `x-plimsoll`."));
    handlers.push_back(handler ? std::move(*handler) : nullptr);
  }
  for (const auto& [id, handler] : bound)
    complaints.push_back({.code = "unknown-operation",
                          .file = contract->file,
                          .what = "the program binds operation " + id + ", which the contract does not have",
                          .remedy = "Correct the operationId in the program or in the contract."});
  if (!complaints.empty()) return told_once(std::move(complaints));
  site = std::make_unique<Site>(services, contract);
  return site->operations(std::move(handlers));
}

namespace {

void add_page(contract::Complaints& complaints, Site& to, std::string path, std::unique_ptr<Handler> handler,
              std::string route = {}) {
  auto more = to.page(std::move(path), std::move(handler), std::move(route));
  complaints.insert(complaints.end(), more.begin(), more.end());
}

void add_health(contract::Complaints& complaints, Site& to, Health& health, Health::Audience audience) {
  for (const auto kind : {Health::Kind::health, Health::Kind::ready, Health::Kind::live})
    add_page(complaints, to, std::string(Health::path(kind)), health.handler(kind, audience));
}

}  // namespace

/// Of the operators' listener, which is served while the rest is being prepared.
contract::Complaints Instance::State::mount_management() {
  static const std::shared_ptr<const contract::Contract> nothing = empty_contract();
  management = std::make_unique<Site>(services, nothing);
  auto complaints = management->operations({});
  add_health(complaints, *management, health, Health::Audience::operators);
  add_page(complaints, *management, "/metrics", metrics_page());
  auto more = management->page("/log", log_level_page(), {}, "GET, HEAD, PUT");
  complaints.insert(complaints.end(), more.begin(), more.end());
  return complaints;
}

contract::Complaints Instance::State::mount() {
  contract::Complaints complaints;
  const auto add = [&](Site& to, std::string path, std::unique_ptr<Handler> handler, std::string route = {}) {
    add_page(complaints, to, std::move(path), std::move(handler), std::move(route));
  };
  observations = observe(services);
  add_health(complaints, *site, health, Health::Audience::callers);
  add(*site, "/openapi.json", fixed("application/json", json::to_string(*contract->root)));
  constexpr auto kDocsPolicy =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors "
      "'none'; base-uri 'none'";
  for (const auto& asset : handler::docs::assets()) {
    const auto path = asset.name == "index.html" ? std::string("/docs") : "/docs/" + std::string(asset.name);
    add(*site, path, fixed(std::string(asset.media_type), std::string(asset.bytes), kDocsPolicy), "/docs");
  }
  constexpr auto kPagePolicy = "default-src 'none'; frame-ancestors 'none'";
  const auto table = problem_table(problems);
  add(*site, "/problems", fixed("text/html; charset=utf-8", problem_index(table), kPagePolicy));
  for (const auto& entry : table)
    add(*site, "/problems/" + std::string(entry.problem->code),
        fixed("text/html; charset=utf-8", problem_page(entry), kPagePolicy), "/problems/{code}");
  return complaints;
}

void Instance::on_phase(std::function<void(std::string_view, std::string_view)> told) {
  state_->told = std::move(told);
}
void Instance::interrupt() noexcept {
  const std::scoped_lock lock(state_->mutex);
  if (state_->breakable) state_->breakable->interrupt();
}
Result<> Instance::start() {
  auto begun = state_->services.backgrounds->start();
  if (!begun) return begun;
  if (state_->probe) state_->probe->start();
  return {};
}
void Instance::serving() { state_->health.serving(state_->services, state_->probe.get()); }
void Instance::drain(Nanoseconds grace) { state_->services.backgrounds->drain(grace); }
void Instance::stop() {
  state_->services.backgrounds->stop();
  if (state_->probe) state_->probe->stop();
}
bool Instance::retryable() const { return state_->retryable; }

contract::Complaints Instance::check_listeners() const {
  const auto& deployment = state_->deployment;
  const auto told = [&](const Error& error) -> contract::Complaints {
    return {complaint_of(error, *state_->contract, {}, deployment.file)};
  };
  edge::Limits limits;
  if (deployment.limits)
    if (auto read = config::read(*deployment.limits, edge::kLimitFields, &limits); !read) return told(read.error());
  auto proxies = edge::read_proxies(deployment.trusted_proxies);
  if (!proxies) return told(proxies.error());
  std::vector<edge::Listen> all;
  for (const auto& address : deployment.listen)
    all.push_back({.address = address, .certificate = {}, .key = {}, .tls = deployment.tls, .proxies = *proxies});
  if (deployment.management != "off") all.push_back({.address = deployment.management, .certificate = {}, .key = {}});
  if (auto good = edge::check(all, limits); !good) {
    auto complaint = complaint_of(good.error(), *state_->contract, {}, deployment.file);
    complaint.file = deployment.file;
    return {std::move(complaint)};
  }
  return {};
}

Site& Instance::site() { return *state_->site; }
Site& Instance::management() { return *state_->management; }
const Services& Instance::services() const { return state_->services; }
const contract::Contract& Instance::contract() const { return *state_->contract; }
const Deployment& Instance::deployment() const { return state_->deployment; }
const Problems& Instance::own_problems() const { return state_->problems; }
const std::vector<std::string>& Instance::remarks() const { return state_->remarks; }
Health& Instance::health() { return state_->health; }

}  // namespace plimsoll::server
