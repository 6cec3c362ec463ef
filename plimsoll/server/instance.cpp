#include "plimsoll/server/instance.hpp"

#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/edge/server.hpp"
#include "plimsoll/exchange/development.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/changes.hpp"
#include "plimsoll/server/complaints.hpp"
#include "plimsoll/server/generation.hpp"
#include "plimsoll/server/observe.hpp"
#include "plimsoll/server/process.hpp"
#include "plimsoll/server/reload_desk.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <list>
#include <system_error>
#include <thread>

namespace plimsoll::server {
namespace {

/// Generations that were replaced and are still in use. A reload beyond that waits for none of them: it is refused.
constexpr std::size_t kMostRetired = 8;
/// How long a new generation may take to get what requests will need of it (the keys of an issuer).
constexpr Nanoseconds kPatience = 10 * kSecond;

/// Keys of the deployment that are read at the start of a process only.
constexpr std::string_view kOfProcess[] = {"threads", "overlap", "limits",          "telemetry",        "database",
                                           "tls",     "store",   "trusted-proxies", "redirect-to-https"};

/// The text of the deployment that an error of a listener is about: the longest that its sentence names.
void find_named(const json::Value& in, std::string_view sentence, const json::Value*& best) {
  if (in.is(json::Type::string)) {
    const auto text = in.string();
    if (!text.empty() && sentence.contains(text) && (!best || text.size() > best->string().size())) best = &in;
  }
  for (const auto& item : in.array()) find_named(item, sentence, best);
  for (const auto& member : in.object()) find_named(member.value, sentence, best);
}

/// Where the deployment says what a listener cannot be opened with; nowhere, when the command line does.
json::Position culprit(const Deployment& deployment, std::string_view key, const Error& error) {
  if (!deployment.root) return {};
  if (error.detail.starts_with("limits:")) {
    const auto* limits = deployment.root->find("limits");
    return limits ? config::member_or(*limits, "connections").position() : json::Position{};
  }
  const json::Value* best = nullptr;
  for (const auto section : {key, std::string_view("trusted-proxies"), std::string_view("tls")})
    if (const auto* value = deployment.root->find(section); value && !best) find_named(*value, error.detail, best);
  if (best) return best->position();
  for (const auto section : {"trusted-proxies", "tls"})
    if (const auto* value = deployment.root->find(section); value && error.detail.starts_with(section))
      return value->position();
  return {};
}

std::string text_of(const json::Value* value) { return value ? json::to_string(*value) : std::string{}; }

std::vector<std::string> need_restart(const Deployment& before, const Deployment& after) {
  std::vector<std::string> keys;
  for (const auto key : kOfProcess) {
    const auto in = [&](const Deployment& of) { return text_of(of.root ? of.root->find(key) : nullptr); };
    if (in(before) != in(after)) keys.emplace_back(key);
  }
  return keys;
}

/// `version` names the contract among several, before each operation.
void tell(Reloaded& into, const Changes& changes, const std::string& version) {
  const auto add = [&](std::vector<std::string>& to, const std::vector<std::string>& ids) {
    for (const auto& id : ids) to.push_back(version.empty() ? id : version + " " + id);
  };
  add(into.added, changes.added);
  add(into.removed, changes.removed);
  add(into.changed, changes.changed);
}

}  // namespace

struct Instance::State {
  State(const Settings& settings, Handlers handlers, Runners runners, Problems problems)
      : process(settings, std::move(handlers), std::move(runners), std::move(problems)) {}
  ~State() {
    drain_retired(0);
    for (auto& each : retired)
      if (each.thread.joinable()) each.thread.join();
  }

  /// A generation that was replaced, and the thread that ends it.
  struct Retired {
    std::unique_ptr<Generation> generation;
    std::atomic<bool> ended{false};
    std::thread thread;
  };
  void retire(std::unique_ptr<Generation> old) {
    const std::scoped_lock lock(mutex);
    auto& one = retired.emplace_back();
    one.generation = std::move(old);
    const auto end = [this, &one] {
      for (;;) try {
          one.generation->retire();
          break;
        } catch (const std::bad_alloc&) { rest_of_memory(); }
      std::unique_ptr<Generation> ended;
      {
        const std::scoped_lock lock(mutex);
        ended = std::move(one.generation);
      }
      ended.reset();
      one.ended.store(true, std::memory_order_release);
    };
    try {
      one.thread = std::thread(end);
    } catch (const std::exception& error) {  // it stays until the process ends, and counts among those in use
      process.log->write(telemetry::Level::error, "plan-not-ended",
                         [&](telemetry::Line& line) { line.add("reason", std::string_view(error.what())); });
    }
  }
  /// How many are still in use.
  std::size_t join_retired() {
    const std::scoped_lock lock(mutex);
    retired.remove_if([](Retired& each) {
      if (!each.ended.load(std::memory_order_acquire)) return false;
      if (each.thread.joinable()) each.thread.join();
      return true;
    });
    return retired.size();
  }
  /// The same. Where there are too many, the eldest that WebSockets were opened on gives way: they may stay open for
  /// days.
  std::size_t make_room() {
    auto in_use = join_retired();
    if (in_use < kMostRetired) return in_use;
    {
      const std::scoped_lock lock(mutex);
      const auto ends = [](const Retired& each) { return each.generation && each.generation->end_tunnels(); };
      if (std::ranges::none_of(retired, ends)) return in_use;
    }
    constexpr auto kBetween = std::chrono::milliseconds(10);
    for (int i = 0; i < 200 && in_use >= kMostRetired; ++i) {
      std::this_thread::sleep_for(kBetween);
      in_use = join_retired();
    }
    return in_use;
  }
  void drain_retired(Nanoseconds grace) {
    const std::scoped_lock lock(mutex);
    for (auto& each : retired)
      if (each.generation) each.generation->backgrounds().drain(grace);
  }
  using Built = std::expected<std::unique_ptr<Generation>, contract::Complaints>;
  Built next_generation(Reloaded& told);
  /// On the file that has taken the place of the database.
  Built generation_on_replaced();
  /// Begins what a new generation runs beside the requests, and waits for what they will need.
  Built begun(std::unique_ptr<Generation> made);
  void put_in_force(std::unique_ptr<Generation> next, const std::function<void()>& replace);

  Process process;
  ReloadDesk desk;
  std::shared_ptr<const Deployment> deployment;  ///< of the start
  std::unique_ptr<Generation> generation;        ///< in force
  Nanoseconds read_at = 0;                       ///< wall clock
  Nanoseconds restore_at = 0;                    ///< steady: when the database may be looked at again
  std::string not_restored;                      ///< why, when it was last
  std::mutex mutex;  ///< of `generation`, between the threads that may drain it, and `retired`
  std::list<Retired> retired;
};

Instance::Instance() = default;
Instance::~Instance() {
  if (state_) stop();
}

std::expected<std::unique_ptr<Instance>, contract::Complaints> Instance::create(const Settings& settings,
                                                                                Handlers handlers, Runners runners,
                                                                                Problems problems) {
  auto made = read(settings, std::move(handlers), std::move(runners), std::move(problems));
  if (!made) return made;
  if (auto complaints = (*made)->prepare(); !complaints.empty()) return std::unexpected(std::move(complaints));
  (*made)->health().serving(nullptr);
  return made;
}

std::expected<std::unique_ptr<Instance>, contract::Complaints> Instance::read(const Settings& settings,
                                                                              Handlers handlers, Runners runners,
                                                                              Problems problems) {
  const auto read_at = system_clock().wall();
  auto documents = read_documents(settings);
  if (!documents) return std::unexpected(std::move(documents).error());
  std::unique_ptr<Instance> made{new Instance};
  made->state_ = std::make_unique<State>(settings, std::move(handlers), std::move(runners), std::move(problems));
  auto& state = *made->state_;
  state.deployment = documents->deployment;
  state.read_at = read_at;
  state.process.open(*state.deployment);
  state.generation = std::make_unique<Generation>(state.process, std::move(*documents));
  if (auto complaints = state.generation->begin(&state.desk); !complaints.empty())
    return std::unexpected(std::move(complaints));
  return made;
}

contract::Complaints Instance::prepare() {
  auto& state = *state_;
  auto& process = state.process;
  std::vector<std::string> applied;
  if (state.generation->needs_database()) {
    if (auto complaints = process.open_database(*state.deployment); !complaints.empty()) return complaints;
    if (auto complaints = process.migrate(*state.deployment, applied); !complaints.empty()) return complaints;
    if (auto complaints = process.inspect_database(*state.deployment); !complaints.empty()) return complaints;
  }
  process.phase("preparing tables and operations");
  state.generation->remark(std::move(applied));
  if (auto complaints = state.generation->build(); !complaints.empty()) return complaints;
  process.observations = observe(services());
  if (!process.database || process.settings.quiet) return {};
  return process.probe_database();
}

namespace {

std::unexpected<contract::Complaints> refused(std::string code, std::string what, std::string remedy) {
  return std::unexpected(contract::Complaints{
      {.code = std::move(code), .file = {}, .what = std::move(what), .remedy = std::move(remedy)}});
}

}  // namespace

Instance::State::Built Instance::State::next_generation(Reloaded& told) {
  if (const auto in_use = make_room(); in_use >= kMostRetired)
    return refused("reload-busy", std::to_string(in_use) + " earlier versions still answer requests or run jobs",
                   "Reload again when their long requests have ended; `plimsoll_plans` counts them.");
  read_at = system_clock().wall();
  auto documents = read_documents(process.settings);
  if (!documents) return std::unexpected(std::move(documents).error());
  told.restart = need_restart(*deployment, *documents->deployment);
  if (documents->deployment->database.url != deployment->database.url)
    return refused("another-database", "`database: {url}` names another database than the one that is open",
                   "Start a new process for it; with `overlap: true` it can take over without a gap.");
  told.documents_changed = text_of(documents->deployment->root) != text_of(generation->deployment().root);
  auto made = std::make_unique<Generation>(process, std::move(*documents));
  for (std::size_t i = 0; i < made->plans().size(); ++i) {  // as many as before: the command line names them
    const auto &before = generation->plans()[i]->contract(), &after = made->plans()[i]->contract();
    tell(told, changes_between(before, after), made->plans()[i]->version().name);
    told.documents_changed |= text_of(before.root) != text_of(after.root);
  }
  if (auto complaints = made->begin(&desk); !complaints.empty()) return std::unexpected(std::move(complaints));
  if (made->needs_database() && !process.database)
    return refused("no-database", "a contract needs a database now, and this process was started without one",
                   "Start a new process.");
  if (auto complaints = made->build(); !complaints.empty()) return std::unexpected(std::move(complaints));
  return begun(std::move(made));
}

Instance::State::Built Instance::State::generation_on_replaced() {
  auto opened = process.database->reopen();
  if (!opened) return refused(std::string(opened.error().problem->code), database::reason_of(opened.error()), {});
  std::vector<std::string> applied;
  if (auto complaints = process.migrate(*deployment, applied); !complaints.empty()) return std::unexpected(complaints);
  if (auto complaints = process.inspect_database(*deployment); !complaints.empty()) return std::unexpected(complaints);
  auto made = std::make_unique<Generation>(process, generation->documents());
  if (auto complaints = made->begin(&desk); !complaints.empty()) return std::unexpected(std::move(complaints));
  if (auto complaints = made->build(); !complaints.empty()) return std::unexpected(std::move(complaints));
  process.database->admit();  // jobs and the probe go on with it
  return begun(std::move(made));
}

Instance::State::Built Instance::State::begun(std::unique_ptr<Generation> made) {
  auto& backgrounds = made->backgrounds();
  if (auto begun = backgrounds.start(); !begun)
    return refused(std::string(begun.error().problem->code), database::reason_of(begun.error()),
                   std::string(begun.error().problem->remedy));
  const auto until = system_clock().steady() + kPatience;
  while (!backgrounds.lacks().empty()) {
    if (system_clock().steady() >= until)
      return refused("not-ready",
                     "it has not got " + std::string(backgrounds.lacks()) + " within " +
                         std::to_string(kPatience / kSecond) + " s",
                     "See the log for what fails.");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return made;
}

void Instance::State::put_in_force(std::unique_ptr<Generation> next, const std::function<void()>& replace) {
  {
    const std::scoped_lock lock(mutex);
    std::swap(next, generation);
  }
  replace();
  retire(std::move(next));
}

bool Instance::may_restore_database() const {
  const auto* database = state_->process.database.get();
  return database && database->lost() && system_clock().steady() >= state_->restore_at;
}

void Instance::restore_database(const std::function<void()>& replace) {
  using telemetry::Level, telemetry::Line;
  constexpr auto kBetween = kSecond;  // two looks at what is at its place
  auto& state = *state_;
  auto& log = *state.process.log;
  const auto begun = system_clock().steady();
  state.restore_at = begun + kBetween;
  auto next = state.make_room() >= kMostRetired
                  ? refused("reload-busy", "too many earlier plans still answer requests or run jobs", {})
                  : state.generation_on_replaced();
  const auto took = system_clock().steady() - begun;
  state.restore_at = begun + std::max(kBetween, 10 * took);  // many tables must not keep a processor busy
  if (next) {
    state.put_in_force(std::move(*next), replace);
    state.not_restored.clear();
    log.write(Level::info, "database-reopened", [&](Line& line) { line.add("duration_ms", took / kMillisecond); });
    return;
  }
  auto why = next.error().front().what;
  state.process.database->refuse(why);
  if (std::exchange(state.not_restored, why) == why) return;
  log.write(Level::error, "database-not-reopened", [&](Line& line) {
    line.add("reason", why).add("effect", "the server is not ready; it looks at the database again every second");
  });
}

std::expected<Reloaded, contract::Complaints> Instance::reload(
    const std::function<contract::Complaints(const Deployment&)>& prepare, const std::function<void()>& replace) {
  auto& state = *state_;
  auto& metrics = state.process.metrics;
  const auto count = [&](std::string_view outcome) {
    const telemetry::Label labels[] = {{"outcome", outcome}};
    metrics.counter("plimsoll_reloads_total", "Reloads of contract and deployment, by outcome.", labels).add();
  };
  Reloaded told;
  auto next = state.next_generation(told);
  if (next)
    if (auto complaints = prepare((*next)->deployment()); !complaints.empty())
      next = std::unexpected(std::move(complaints));
  if (!next) {
    count("refused");
    return std::unexpected(std::move(next).error());
  }
  state.put_in_force(std::move(*next), replace);
  told.remarks = state.generation->remarks();
  count("done");
  metrics.gauge("plimsoll_reload_success_timestamp_seconds", "When the plan in force was put in force, in Unix time.")
      .set(state.process.clock.wall() / kSecond);
  return told;
}

void Instance::on_phase(std::function<void(std::string_view, std::string_view)> told) {
  state_->process.told = std::move(told);
}
void Instance::interrupt() noexcept {
  const std::scoped_lock lock(state_->process.mutex);
  if (state_->process.breakable) state_->process.breakable->interrupt();
}
Result<> Instance::start() {
  auto begun = services().backgrounds->start();
  if (!begun) return begun;
  if (state_->process.probe) state_->process.probe->start();
  return {};
}
void Instance::serving() {
  auto& state = *state_;
  state.process.health.serving(state.process.probe.get(), state.process.database.get());
  state.process.observations.push_back(state.process.metrics.observe(
      telemetry::Kind::gauge, "plimsoll_plans",
      "Plans in use: the one in force, and those that were replaced. Those of several contracts count as one.", {},
      [this] {
        const std::scoped_lock lock(state_->mutex);
        return 1.0 + static_cast<double>(std::ranges::count_if(
                         state_->retired, [](auto& each) { return !each.ended.load(std::memory_order_relaxed); }));
      }));
}
void Instance::drain(Nanoseconds grace) {
  {
    const std::scoped_lock lock(state_->mutex);
    services().backgrounds->drain(grace);
  }
  state_->drain_retired(grace);
}
void Instance::stop() {
  state_->drain_retired(0);
  services().backgrounds->stop();
  if (state_->process.probe) state_->process.probe->stop();
}
bool Instance::retryable() const { return state_->process.retryable; }

contract::Complaints Instance::check_listeners() const {
  const auto& deployment = *state_->deployment;
  const auto told = [&](const Error& error) -> contract::Complaints {
    return {complaint_of(error, contract(), {}, deployment.file)};
  };
  edge::Limits limits;
  if (deployment.limits)
    if (auto read = config::read(*deployment.limits, edge::kLimitFields, &limits); !read) return told(read.error());
  limits.connections_chosen = deployment.limits && deployment.limits->find("connections");
  auto proxies = edge::read_proxies(deployment.trusted_proxies);
  if (!proxies) return told(proxies.error());
  contract::Complaints complaints;
  const auto check = [&](const edge::Listen& one, std::string_view key) {
    auto good = edge::check({one}, limits);
    if (good) return;
    auto complaint = complaint_of(good.error(), contract(), {}, deployment.file);
    complaint.file = deployment.file;
    if (!complaint.at.line) complaint.at = culprit(deployment, key, good.error());
    if (!complaint.at.line) complaint.pointer = "/" + std::string(key);
    complaints.push_back(std::move(complaint));
  };
  for (const auto& address : deployment.listen)
    check({.address = address, .certificate = {}, .key = {}, .tls = deployment.tls, .proxies = *proxies}, "listen");
  if (deployment.redirect)
    for (const auto& address : deployment.redirect->from)
      check({.address = address, .certificate = {}, .key = {}, .proxies = *proxies}, "redirect-to-https");
  if (deployment.management != "off")
    check({.address = deployment.management, .certificate = {}, .key = {}}, "management");
  return told_once(std::move(complaints));
}

std::shared_ptr<edge::Service> Instance::service() const { return state_->generation->service(); }
std::shared_ptr<edge::Service> Instance::management_service() const { return state_->generation->management_service(); }
Site& Instance::management() { return state_->generation->management(); }
const Services& Instance::services() const { return state_->generation->plans().front()->services(); }
const contract::Contract& Instance::contract() const { return state_->generation->plans().front()->contract(); }
namespace {

/// Names of components and what `--dev` makes have no character that an address would have to encode.
std::string development_fragment(const Plan& plan) {
  const auto kept = plan.services().of_plan->of<DevelopmentCredentials>();
  const std::scoped_lock lock(kept->mutex);
  std::string fragment;
  for (const auto& [scheme, credential] : kept->by_scheme)
    fragment += (fragment.empty() ? "#credentials:" : "&") + scheme + "=" + credential;
  return fragment;
}

}  // namespace

std::vector<Instance::Served> Instance::served() const {
  std::vector<Served> all;
  for (const auto& plan : state_->generation->plans()) {
    const auto& version = plan->version();
    const auto base = version.name.empty() ? std::string{} : version.bases.front();
    all.push_back(
        {plan->contract(), base, version.written_header, version.header.empty() ? std::string{} : version.name,
         (version.header.empty() ? base : Versions::pages_of(version)) + "/docs", development_fragment(*plan)});
  }
  return all;
}
const Deployment& Instance::deployment() const { return *state_->deployment; }
const Problems& Instance::own_problems() const { return state_->process.problems; }
const std::vector<std::string>& Instance::remarks() const { return state_->generation->remarks(); }
bool Instance::watch() const { return state_->process.settings.watch; }
std::vector<std::string> Instance::files() const {
  std::vector<std::string> all;
  for (const auto& plan : state_->generation->plans())
    all.insert(all.end(), plan->contract().files.begin(), plan->contract().files.end());
  const auto& settings = state_->process.settings;
  all.insert(all.end(), settings.overlays.begin(), settings.overlays.end());
  all.push_back(state_->generation->deployment_file());
  return all;
}
Nanoseconds Instance::read_at() const { return state_->read_at; }
Health& Instance::health() { return state_->process.health; }
ReloadDesk& Instance::reload_desk() { return state_->desk; }

}  // namespace plimsoll::server
