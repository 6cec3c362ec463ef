#include "plimsoll/server/application.hpp"

#include "plimsoll/async/patience.hpp"
#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/edge/server.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/command_line.hpp"
#include "plimsoll/server/health.hpp"
#include "plimsoll/server/keeper.hpp"
#include "plimsoll/server/reload.hpp"
#include "plimsoll/server/reload_desk.hpp"
#include "plimsoll/server/site.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <unistd.h>
#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <optional>

namespace plimsoll {
namespace {

void say(const std::string& line) {
  std::fwrite((line + '\n').data(), 1, line.size() + 1, stdout), std::fflush(stdout);
}

int complain(const contract::Complaints& complaints, int status = 2) {
  auto text = contract::Printer(STDERR_FILENO).text(complaints);
  text += "plimsoll: not started: " + std::to_string(complaints.size()) +
          (complaints.size() == 1 ? " error" : " errors") + '\n';
  std::fwrite(text.data(), 1, text.size(), stderr);
  return status;
}

contract::Complaints one(const Error& error, const server::Deployment& deployment, std::string_view code = {}) {
  auto [at, what, source] = config::located(database::reason_of(error));
  return {{.code = std::string(code.empty() ? error.problem->code : code),
           .file = at.line ? deployment.file : std::string{},
           .at = at,
           .what = std::move(what),
           .remedy = std::string(error.problem->remedy)}};
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

Result<std::unique_ptr<edge::Server>> listen(const Opening& from, bool overlap) {
  std::vector<edge::Listen> all;
  for (const auto& address : from.addresses)
    all.push_back({.address = address,
                   .certificate = {},
                   .key = {},
                   .tls = from.tls,
                   .proxies = from.proxies,
                   .overlap = overlap});
  return edge::start(from.service, all, from.limits, from.threads);
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
    return {};
  }

  Patience::Hooks hooks() {
    return {.rest = [this](Nanoseconds span) { return keeper_.rest(span); },
            .told =
                [this](const Error& error, Nanoseconds left) {
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

  /// Until the process is told to end: reloads for whoever asks.
  void attend() {
    constexpr auto kLook = kSecond / 2;
    auto& desk = instance_->reload_desk();
    std::optional<server::WatchedFiles> watched;
    if (instance_->watch()) watched.emplace().watch(instance_->files(), instance_->read_at());
    desk.on_ask([this] { keeper_.notify(); });
    keeper_.on_hangup([&desk] { desk.ask(); });
    while (keeper_.wait(watched ? kLook : 3600 * kSecond,
                        [&] { return desk.asked() || (watched && watched->changed()); })) {
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

  /// What was served before is served on where anything is wrong.
  server::ReloadAnswer reload() {
    using telemetry::Level, telemetry::Line;
    const auto begun = system_clock().steady();
    const auto certificates = open_->reload_certificates();
    const auto done = instance_->reload([this] {
      open_->serve(instance_->service());
      if (management_) management_->serve(instance_->management_service());
    });
    const auto tell_certificates = [&](Line& line) {
      line.add("certificates", certificates ? std::string_view("reloaded") : std::string_view("kept"));
      if (!certificates) line.add("reason", certificates.error().detail);
    };
    if (!done) {
      std::string all;
      contract::Printer printer{{.excerpts = false}};
      for (const auto& each : done.error()) all += printer.text(each);
      log().write(Level::error, "reload-refused", [&](Line& line) {
        line.add("effect", "what was served before is served on").add("errors", std::ssize(done.error()));
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
      if (!done->restart.empty()) line.add("needs_restart", server::in_short(done->restart));
      tell_certificates(line);
      line.add("duration_ms", (system_clock().steady() - begun) / kMillisecond);
    });
    return {.done = true, .text = server::to_json(*done)};
  }

  /// Up to the point where requests can be answered. A status when the start has failed.
  std::optional<int> start(Patience& patience) {
    if (deployment_.management != "off") {
      edge::Limits limits;
      limits.drain = config::seconds(1);  // a scrape, at most
      limits.connections = 256;           // few ask there; no part of what `limits` allows the public
      const Opening opening{
          .service = instance_->management_service(), .addresses = {deployment_.management}, .limits = limits};
      auto made = patience.retry([&] { return listen(opening, deployment_.overlap); });
      if (!made)
        return complain({{.code = "listen",
                          .what = made.error().detail,
                          .remedy = "Choose another with `--management ADDRESS:PORT`, or `--management off`."}});
      management_ = std::move(*made);
    }
    if (auto complaints = instance_->prepare(); !complaints.empty())
      return keeper_.terminating() ? 0 : complain(complaints);
    return std::nullopt;
  }

  /// The public listener is last: a start that is refused has answered nobody, and while this process starts, another
  /// that listens on the same address answers all requests. -1: it is open.
  int open() {
    const Opening opening{.service = instance_->service(),
                          .addresses = deployment_.listen,
                          .tls = deployment_.tls,
                          .proxies = proxies_,
                          .limits = limits_,
                          .threads = static_cast<unsigned>(deployment_.threads)};
    keeper_.phase("opening the listeners");
    Patience patience{limits_.start_patience.nanoseconds, hooks()};
    auto made = patience.retry([&] { return listen(opening, deployment_.overlap); });
    if (!made) {
      if (keeper_.terminating()) return 0;
      return complain(
          {{.code = "listen", .what = made.error().detail, .remedy = std::string(made.error().problem->remedy)}},
          patience.spent() ? server::kTemporaryFailure : 2);
    }
    open_ = std::move(*made);
    instance_->serving();
    auto loops = open_->loops();
    if (management_) std::ranges::copy(management_->loops(), std::back_inserter(loops));
    instance_->health().watch(std::move(loops));
    observe();
    keeper_.on_interrupt({});
    keeper_.on_hurry([this] { hurry(); });
    keeper_.waits(limits_.shutdown_delay.nanoseconds + limits_.drain.nanoseconds);
    keeper_.phase({});
    return -1;
  }

  /// What is read from the listeners whenever somebody scrapes.
  void observe() {
    using telemetry::Kind;
    auto& registry = *instance_->services().metrics;
    const telemetry::Label callers[] = {{"listener", "public"}}, operators[] = {{"listener", "management"}};
    const auto connections = [&](const edge::Server* server, std::span<const telemetry::Label> labels) {
      observations_.push_back(registry.observe(Kind::gauge, "plimsoll_connections", "Open connections.", labels,
                                               [server] { return static_cast<double>(server->connections()); }));
    };
    connections(open_.get(), callers);
    if (management_) connections(management_.get(), operators);
    observations_.push_back(registry.observe(
        Kind::gauge, "plimsoll_loop_lag_seconds",
        "How long the slowest I/O thread took to begin what it was asked for at the last scrape or liveness probe.", {},
        [this] { return static_cast<double>(instance_->health().lag()) / kSecond; }));
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
    const bool tls = !deployment_.tls.certificate.empty() || !deployment_.tls.certificates.empty();
    for (const auto& each : instance_->served())
      for (const auto& address : open_->addresses()) {
        const bool local = address.starts_with("unix:");
        say("plimsoll: " + each.contract.title + " " + each.contract.version + " at " + url_of(address, tls) +
            (local ? "" : each.base) + (each.header.empty() ? "" : " with " + each.header + ": " + each.name) +
            (local ? "" : ", documentation at " + docs_of(address, tls, each.docs)));
      }
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
  std::unique_ptr<edge::Server> management_, open_;
  std::vector<telemetry::Observation> observations_;  // last: they read the listeners
};

}  // namespace

int Application::serve(server::Settings settings) {
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
  } catch (const std::exception& error) {
    return complain(
        {{.code = "internal", .what = error.what(), .remedy = "This is a fault of the program; please report it."}});
  }
}

}  // namespace plimsoll
