#include "plimsoll/server/application.hpp"

#include "plimsoll/async/patience.hpp"
#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/edge/server.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/command_line.hpp"
#include "plimsoll/server/complaints.hpp"
#include "plimsoll/server/health.hpp"
#include "plimsoll/server/keeper.hpp"
#include "plimsoll/server/reload.hpp"
#include "plimsoll/server/reload_desk.hpp"
#include "plimsoll/server/site.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <malloc.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <optional>
#include <system_error>

namespace plimsoll {
namespace {

void say(const std::string& line) {
  std::fwrite((line + '\n').data(), 1, line.size() + 1, stdout), std::fflush(stdout);
}

int complain(const contract::Complaints& complaints, int status = 2) {
  auto text = contract::Printer(STDERR_FILENO).text(complaints);
  const auto errors =
      std::ranges::count(complaints, contract::Complaint::Severity::error, &contract::Complaint::severity);
  text += "plimsoll: not started: " + std::to_string(errors) + (errors == 1 ? " error" : " errors") + '\n';
  std::fwrite(text.data(), 1, text.size(), stderr);
  return status;
}

contract::Complaints one(const Error& error, const server::Deployment& deployment, std::string_view code = {}) {
  auto [at, what, source, remedy] = config::located(database::reason_of(error));
  return {{.code = std::string(code.empty() ? error.problem->code : code),
           .file = at.line ? deployment.file : std::string{},
           .at = at,
           .what = std::move(what),
           .remedy = remedy.empty() ? std::string(error.problem->remedy) : std::move(remedy)}};
}

/// `http://127.0.0.1:8080`, as a browser takes it; a Unix socket has no URL.
std::string url_of(const std::string& address, bool tls) {
  if (address.starts_with("unix:")) return address;
  return (tls ? "https://" : "http://") + address;
}

/// Where a browser on this machine finds the page: an address of all interfaces is none.
std::string docs_of(const std::string& address, bool tls, const std::string& path) {
  for (const std::string_view all : {"0.0.0.0:", "[::]:"})
    if (address.starts_with(all)) return url_of("localhost:" + address.substr(all.size()), tls) + path;
  return url_of(address, tls) + path;
}

/// One server of a process: what it listens to, with what limits.
struct Opening {
  std::shared_ptr<edge::Service> service;
  std::vector<std::string> addresses;
  std::vector<std::string> in_clear{};  ///< further ones without TLS
  net::TlsOptions tls{};
  edge::Proxies proxies{};
  edge::Limits limits{};
  unsigned threads = 1;
};

/// What bodies may take, before the first comes.
void bound_bodies(const Services& services, const edge::Limits& limits) {
  const auto bodies = services.shared->of<BodyMemory>();
  const char* folder = std::getenv("TMPDIR");
  bodies->limit(limits.bodies.bytes, limits.bodies_on_disk.bytes, folder && *folder ? folder : "/tmp");
  if (services.metrics) bodies->measure(*services.metrics);
}

std::vector<edge::Listen> listens_of(const Opening& from, bool overlap) {
  std::vector<edge::Listen> all;
  const auto add = [&](const std::string& address, const net::TlsOptions& tls) {
    all.push_back(
        {.address = address, .certificate = {}, .key = {}, .tls = tls, .proxies = from.proxies, .overlap = overlap});
  };
  for (const auto& address : from.addresses) add(address, from.tls);
  for (const auto& address : from.in_clear) add(address, {});
  return all;
}

Result<std::unique_ptr<edge::Server>> listen(const Opening& from, bool overlap) {
  return edge::start(from.service, listens_of(from, overlap), from.limits, from.threads);
}

/// An address that cannot be listened on, with its line where the file names it under `key`.
contract::Complaints cannot_listen(const server::Deployment& deployment, std::string_view key, const Error& error) {
  const auto* said = deployment.root ? deployment.root->find(key) : nullptr;
  const auto names = [&](const json::Value& value) {
    return value.is(json::Type::string) && error.detail.starts_with(std::string(value.string()) + ": ");
  };
  const json::Value* at = said && names(*said) ? said : nullptr;
  if (said)
    for (const auto& item : said->array())
      if (!at && names(item)) at = &item;
  const bool no_descriptors = error.detail.ends_with(std::system_category().message(EMFILE));
  return {{.code = "listen",
           .file = at ? deployment.file : std::string{},
           .at = at ? at->position() : json::Position{},
           .what = error.detail,
           .remedy = no_descriptors        ? std::string(server::kRaiseOpenFiles)
                     : key == "management" ? "Choose another with `--management ADDRESS:PORT`, or `--management off`."
                                           : std::string(error.problem->remedy)}};
}

/// A life of the process, from the first file that is read to the last line of log.
class Serving {
 public:
  Serving(server::Keeper& keeper, std::unique_ptr<server::Instance> instance)
      : keeper_(keeper),
        instance_(std::move(instance)),
        deployment_(instance_->deployment()),
        log_(*instance_->services().log) {
    keeper_.log(&log_);
  }
  /// The keeper's actions refer to this.
  ~Serving() {
    instance_->health().forget_loops();
    keeper_.on_interrupt({});
    keeper_.on_hurry({});
    keeper_.on_hangup({});
    keeper_.on_reopen({});
    keeper_.log(nullptr);
  }

  int run() {
    if (auto read = read_limits(); !read) return complain(one(read.error(), deployment_, "configuration"));
    if (auto complaints = instance_->check_listeners(); !complaints.empty()) return complain(complaints);
    bound_bodies(instance_->services(), limits_);
    prepare_signals();
    std::optional<int> failed;
    {
      Patience patience{limits_.start_patience.nanoseconds, hooks()};
      failed = start(patience);
      // A start that is broken off is a process that ends because it was told to.
      if (failed && keeper_.terminating()) failed = 0;
      if (failed && *failed != 0) return patience.spent() ? server::kTemporaryFailure : *failed;
    }
    if (failed) return *failed;
    if (auto begun = instance_->start(); !begun) return complain(one(begun.error(), deployment_));
    if (const int status = open(); status >= 0) return status;
    announce();
    attend();
    end();
    return 0;
  }

 private:
  telemetry::Log& log() const { return log_; }

  Result<> read_limits() {
    if (deployment_.limits) {
      limits_.connections_chosen = deployment_.limits->find("connections") != nullptr;
      if (auto read = config::read(*deployment_.limits, edge::kLimitFields, &limits_); !read) return read;
    }
    auto proxies = edge::read_proxies(deployment_.trusted_proxies);
    if (!proxies) return std::unexpected(std::move(proxies).error());
    proxies_ = std::move(*proxies);
    if (deployment_.redirect) redirected_ = deployment_.redirect->from;
    return {};
  }

  Patience::Hooks hooks() {
    return {.rest = [this](Nanoseconds span) { return keeper_.rest(span); },
            .told =
                [this](const Error& error, Nanoseconds left) {
                  instance_->health().delayed(database::reason_of(error));
                  log().write(telemetry::Level::warning, "start-delayed", [&](telemetry::Line& line) {
                    line.add("reason", database::reason_of(error)).add("seconds_left", left / kSecond);
                  });
                }};
  }

  void prepare_signals() {
    instance_->on_phase([this](std::string_view what, std::string_view detail) { keeper_.phase(what, detail); });
    keeper_.on_interrupt([this] { instance_->interrupt(); });
    keeper_.on_reopen([this] {
      std::string why;
      if (log().reopen(why))
        log().write(telemetry::Level::info, "log-reopened");
      else
        log().write(telemetry::Level::warning, "log-not-reopened",
                    [&](telemetry::Line& line) { line.add("reason", why); });
    });
    keeper_.on_hangup([this] {
      log().write(telemetry::Level::warning, "reload-ignored",
                  [](telemetry::Line& line) { line.add("reason", "the server is still starting"); });
    });
  }

  /// Before the first connection is accepted: who has reached the server may ask for a reload, which `attend` does.
  void take_reloads() {
    auto& desk = instance_->reload_desk();
    desk.on_ask([this] { keeper_.notify(); });
    keeper_.on_hangup([&desk] { desk.ask(); });
  }

  /// Until the process is told to end: reloads for whoever asks.
  void attend() {
    constexpr auto kLook = kSecond / 2;
    auto& desk = instance_->reload_desk();
    std::optional<server::WatchedFiles> watched;
    if (instance_->watch()) watched.emplace().watch(instance_->files(), instance_->read_at());
    bool asked = false;
    // Made once, because a wait must not fail for want of memory.
    const std::function<bool()> due = [&] {
      asked = desk.asked() || (watched && watched->changed());  // which says so once
      return asked || instance_->may_restore_database();
    };
    while (keeper_.wait(kLook, due)) {
      if (instance_->may_restore_database()) restore_database();
      if (!asked) continue;
      desk.serve([this]() -> server::ReloadAnswer {
        try {
          return reload();
        } catch (const std::exception& error) {  // too little memory for a second plan, say
          log().write(telemetry::Level::error, "reload-refused",
                      [&](telemetry::Line& line) { line.add("detail", std::string_view(error.what())); });
          return {.done = false, .text = error.what()};
        }
      });
      if (watched) watched->watch(instance_->files(), instance_->read_at());
    }
    keeper_.on_hangup({});
    desk.on_ask({});
  }

  /// Listeners stay as they are.
  void restore_database() {
    try {
      instance_->restore_database([this] { serve_in_force(); });
    } catch (const std::exception& error) {  // too little memory for a second plan, say
      log().write(telemetry::Level::error, "database-not-reopened",
                  [&](telemetry::Line& line) { line.add("reason", std::string_view(error.what())); });
    }
  }
  void serve_in_force() {
    open_->serve(instance_->service());
    if (management_) management_->serve(instance_->management_service());
  }

  /// What was served before is served on where anything is wrong.
  server::ReloadAnswer reload() {
    using telemetry::Level, telemetry::Line;
    const auto begun = system_clock().steady();
    const auto certificates = open_->reload_certificates();
    NextListeners next;
    const auto before = addresses();
    auto done = instance_->reload([&](const server::Deployment& deployment) { return prepare(next, deployment); },
                                  [&] { replace(std::move(next)); });
    if (done) {
      const auto after = addresses();
      std::ranges::set_difference(after, before, std::back_inserter(done->opened));
      std::ranges::set_difference(before, after, std::back_inserter(done->closed));
    }
    const auto tell_certificates = [&](Line& line) {
      line.add("certificates", certificates ? std::string_view("reloaded") : std::string_view("kept"));
      if (!certificates) line.add("reason", certificates.error().detail);
    };
    if (!done) {
      std::string all = contract::Printer{{.excerpts = false}}.text(done.error());
      log().write(Level::error, "reload-refused", [&](Line& line) {
        line.add("effect", "the previous contract stays in force").add("errors", std::ssize(done.error()));
        line.add("detail", all);
        tell_certificates(line);
      });
      return {.done = false, .text = std::move(all)};
    }
    log().write(done->restart.empty() && certificates ? Level::info : Level::warning, "reload", [&](Line& line) {
      line.add("changed", done->documents_changed);
      if (!done->added.empty()) line.add("operations_added", server::in_short(done->added));
      if (!done->removed.empty()) line.add("operations_removed", server::in_short(done->removed));
      if (!done->changed.empty()) line.add("operations_changed", server::in_short(done->changed));
      if (!done->opened.empty()) line.add("listeners_opened", server::in_short(done->opened));
      if (!done->closed.empty()) line.add("listeners_closed", server::in_short(done->closed));
      if (!done->restart.empty()) line.add("needs_restart", server::in_short(done->restart));
      tell_certificates(line);
      line.add("duration_ms", (system_clock().steady() - begun) / kMillisecond);
    });
    return {.done = true, .text = server::to_json(*done)};
  }

  /// Of a reload: what is opened before anything is replaced.
  struct NextListeners {
    std::unique_ptr<edge::Server::Change> open, management;
    std::unique_ptr<edge::Server> first_management;  ///< there was none
    bool no_management = false;
  };
  contract::Complaints prepare(NextListeners& next, const server::Deployment& deployment) {
    auto open = open_->prepare(listens_of(public_opening(deployment.listen), deployment_.overlap));
    if (!open) return cannot_listen(deployment, "listen", open.error());
    next.open = std::move(*open);
    next.no_management = deployment.management == "off";
    if (next.no_management) return {};
    const auto opening = management_opening(deployment.management);
    if (management_) {
      auto change = management_->prepare(listens_of(opening, deployment_.overlap));
      if (!change) return cannot_listen(deployment, "management", change.error());
      next.management = std::move(*change);
      return {};
    }
    auto made = listen(opening, deployment_.overlap);
    if (!made) return cannot_listen(deployment, "management", made.error());
    next.first_management = std::move(*made);
    return {};
  }
  void replace(NextListeners next) {
    open_->serve(instance_->service());
    open_->apply(std::move(next.open));
    if (next.no_management && management_) {
      instance_->health().forget_loops();
      management_observation_ = {};
      management_->drain();
      ended_management_ = std::move(management_);  // one before it has had its time
    } else if (next.first_management) {
      management_ = std::move(next.first_management);
      management_->serve(instance_->management_service());
      observe_management();
    } else if (management_) {
      management_->serve(instance_->management_service());
      management_->apply(std::move(next.management));
    }
    watch_loops();
  }
  /// Of all listeners, sorted.
  std::vector<std::string> addresses() const {
    auto all = open_->addresses();
    if (management_) std::ranges::copy(management_->addresses(), std::back_inserter(all));
    std::ranges::sort(all);
    return all;
  }

  Opening public_opening(std::vector<std::string> addresses) const {
    return {.service = instance_->service(),
            .addresses = std::move(addresses),
            .in_clear = redirected_,
            .tls = deployment_.tls,
            .proxies = proxies_,
            .limits = limits_,
            .threads = static_cast<unsigned>(deployment_.threads)};
  }
  Opening management_opening(const std::string& address) const {
    edge::Limits limits;
    limits.drain = config::seconds(1);  // a scrape, at most
    limits.connections = 256;           // few ask there; no part of what `limits` allows the public
    return {.service = instance_->management_service(), .addresses = {address}, .limits = limits};
  }
  void watch_loops() {
    auto loops = open_->loops();
    if (management_) std::ranges::copy(management_->loops(), std::back_inserter(loops));
    instance_->health().watch(std::move(loops));
  }

  /// Up to the point where requests can be answered. A status when the start has failed.
  std::optional<int> start(Patience& patience) {
    if (limits_.bodies_on_disk.bytes > 0) {
      const auto bodies = instance_->services().shared->of<BodyMemory>();
      if (auto taken = patience.retry([&] { return bodies->check_folder(); }); !taken)
        return complain({{.code = "bodies-folder",
                          .what = database::reason_of(taken.error()),
                          .remedy = "Set TMPDIR to a folder that can be written, or keep no bodies on disk: `limits: "
                                    "{bodies-on-disk: 0B}`."}});
    }
    if (deployment_.management != "off") {
      auto made =
          patience.retry([&] { return listen(management_opening(deployment_.management), deployment_.overlap); });
      if (!made) return complain(cannot_listen(deployment_, "management", made.error()));
      management_ = std::move(*made);
    }
    if (auto complaints = instance_->prepare(); !complaints.empty())
      return keeper_.terminating() ? 0 : complain(complaints);
    return std::nullopt;
  }

  /// The public listener is last: a start that is refused has answered nobody, and while this process starts, another
  /// that listens on the same address answers all requests. -1: it is open.
  int open() {
    take_reloads();
    const auto opening = public_opening(deployment_.listen);
    keeper_.phase("opening the listeners");
    Patience patience{limits_.start_patience.nanoseconds, hooks()};
    auto made = patience.retry([&] { return listen(opening, deployment_.overlap); });
    if (!made) {
      if (keeper_.terminating()) return 0;
      return complain(cannot_listen(deployment_, "listen", made.error()),
                      patience.spent() ? server::kTemporaryFailure : 2);
    }
    open_ = std::move(*made);
    instance_->serving();
    watch_loops();
    observe();
    keeper_.on_interrupt({});
    keeper_.on_hurry([this] { hurry(); });
    keeper_.waits(limits_.shutdown_delay.nanoseconds + limits_.drain.nanoseconds);
    keeper_.phase({});
    return -1;
  }

  /// What is read from the listeners whenever somebody scrapes.
  telemetry::Observation observe_connections(const edge::Server& server, std::string_view listener) {
    const telemetry::Label labels[] = {{"listener", listener}};
    return instance_->services().metrics->observe(telemetry::Kind::gauge, "plimsoll_connections", "Open connections.",
                                                  labels,
                                                  [&server] { return static_cast<double>(server.connections()); });
  }
  void observe_management() { management_observation_ = observe_connections(*management_, "management"); }
  void observe() {
    using telemetry::Kind;
    auto& registry = *instance_->services().metrics;
    observations_.push_back(observe_connections(*open_, "public"));
    if (management_) observe_management();
    observations_.push_back(
        registry.observe(Kind::gauge, "plimsoll_loop_lag_seconds",
                         "How long the slowest I/O thread took to start a task at the last scrape or liveness probe.",
                         {}, [this] { return static_cast<double>(instance_->health().lag()) / kSecond; }));
    if (open_->certificates_expire())
      observations_.push_back(registry.observe(Kind::gauge, "plimsoll_tls_certificate_expiry_timestamp_seconds",
                                               "When the first of the certificates in use expires, in Unix time.", {},
                                               [this] { return static_cast<double>(open_->certificates_expire()); }));
  }

  /// The second SIGTERM: what is under way ends now.
  void hurry() {
    open_->cut();
    instance_->drain(0);
  }

  void announce() const {
    for (const auto& remark : instance_->remarks()) say(remark);
    const bool tls = deployment_.tls.has_certificate();
    auto all = open_->addresses();
    const std::vector<std::string> redirected(all.end() - std::ssize(redirected_), all.end());
    all.resize(all.size() - redirected.size());
    for (const auto& each : instance_->served())
      for (const auto& address : all) {
        const bool local = address.starts_with("unix:");
        say("plimsoll: " + each.contract.title + " " + each.contract.version + " at " + url_of(address, tls) +
            (local ? "" : each.base) + (each.header.empty() ? "" : " with " + each.header + ": " + each.name) +
            (local ? "" : ", documentation at " + docs_of(address, tls, each.docs)));
        if (!local && !each.development.empty())
          say("plimsoll: the same with the keys of --dev filled in:\n  " + docs_of(address, tls, each.docs) +
              each.development);
      }
    for (const auto& address : redirected) say("plimsoll: " + url_of(address, false) + " redirects to HTTPS");
    if (management_)
      for (const auto& address : management_->addresses()) say("plimsoll: management at " + url_of(address, false));
  }

  void end() {
    using telemetry::Level, telemetry::Line;
    const auto begun = system_clock().steady();
    instance_->health().draining();
    log().write(Level::info, "draining", [&](Line& line) {
      line.add("shutdown_delay_s", limits_.shutdown_delay.nanoseconds / kSecond)
          .add("drain_s", limits_.drain.nanoseconds / kSecond);
    });
    keeper_.phase("waiting for shutdown-delay");
    keeper_.delay(limits_.shutdown_delay.nanoseconds);
    keeper_.phase("finishing requests");
    instance_->health().forget_loops();
    open_->drain();
    instance_->drain(limits_.drain.nanoseconds);
    if (keeper_.hurried()) hurry();
    open_->wait();
    keeper_.on_hurry([this] { instance_->drain(0); });
    if (keeper_.hurried()) instance_->drain(0);
    keeper_.phase("returning jobs");
    instance_->stop();
    log().write(Level::info, "drained", [&](Line& line) {
      line.add("duration_ms", (system_clock().steady() - begun) / kMillisecond).add("hurried", keeper_.hurried());
    });
    keeper_.phase("closing");
    if (management_) {
      management_->drain();
      management_->wait();
    }
  }

  server::Keeper& keeper_;
  std::unique_ptr<server::Instance> instance_;
  const server::Deployment& deployment_;  ///< of the start; listeners and limits stay as it says
  telemetry::Log& log_;
  edge::Limits limits_;
  edge::Proxies proxies_;
  std::vector<std::string> redirected_;  ///< addresses in clear, which only redirect
  std::unique_ptr<edge::Server> management_, ended_management_, open_;
  telemetry::Observation management_observation_;
  std::vector<telemetry::Observation> observations_;  // last: they read the listeners
};

}  // namespace

int Application::serve(server::Settings settings) {
  // What is large goes back to the system when it ends: by itself malloc raises this size to the largest that was
  // freed, and keeps what a burst of large responses took.
  ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
  server::Keeper keeper;  // before any other thread is made: they inherit the mask
  if (!mistakes_.empty()) return complain(mistakes_);
  auto read = server::Instance::read(completed(std::move(settings)), std::exchange(handlers_, {}),
                                     std::exchange(runners_, {}), problems_);
  if (!read) return complain(read.error());
  return Serving{keeper, std::move(*read)}.run();
}

int Application::run(int argc, char** argv) {
  try {
    CLI::App app{"Serves " + contract_ + "."};
    server::Settings settings;
    server::add_options(app, settings);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : 2; }
    return serve(std::move(settings));
  } catch (const std::exception& error) { return complain({server::complaint_of(error, "internal")}); }
}

}  // namespace plimsoll
