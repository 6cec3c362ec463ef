#include "plimsoll/server/application.hpp"

#include "plimsoll/edge/server.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/server/command_line.hpp"
#include "plimsoll/server/site.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <unistd.h>
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace plimsoll {
namespace {

void say(const std::string& line) {
  std::fwrite((line + '\n').data(), 1, line.size() + 1, stdout), std::fflush(stdout);
}

int complain(const contract::Complaints& complaints) {
  std::string text;
  for (const auto& each : complaints) text += contract::to_string(each) + '\n';
  text += "plimsoll: not started: " + std::to_string(complaints.size()) +
          (complaints.size() == 1 ? " error" : " errors") + '\n';
  std::fwrite(text.data(), 1, text.size(), stderr);
  return 2;
}

/// The signals that end the process, blocked in every thread and waited for in one.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    for (const int each : {SIGTERM, SIGINT}) sigaddset(&set_, each);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of that file, not the end of the process
  }
  ~Signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  void wait() {
    int signal = 0;
    sigwait(&set_, &signal);
  }

 private:
  sigset_t set_, before_;
};

Result<> read_limits(const server::Deployment& deployment, edge::Limits& limits) {
  if (!deployment.limits) return {};
  limits.connections_chosen = deployment.limits->find("connections") != nullptr;
  return config::read(*deployment.limits, edge::kLimitFields, &limits);
}

/// What bodies may take, before the first comes.
void bound_bodies(const Services& services, const server::Deployment& deployment) {
  edge::Limits limits;
  if (!read_limits(deployment, limits)) return;  // told when the listener is opened
  const auto bodies = services.shared->of<BodyMemory>();
  const char* folder = std::getenv("TMPDIR");
  bodies->limit(limits.bodies.bytes, limits.bodies_on_disk.bytes, folder && *folder ? folder : "/tmp");
  if (services.metrics) bodies->measure(*services.metrics);
}

Result<std::unique_ptr<edge::Server>> listen(edge::Service& service, const std::vector<std::string>& addresses,
                                             const server::Deployment& deployment, unsigned threads,
                                             edge::Limits limits = {}) {
  std::vector<edge::Listen> all;
  auto proxies = edge::read_proxies(deployment.trusted_proxies);
  if (!proxies) return std::unexpected(std::move(proxies).error());
  for (const auto& address : addresses)
    all.push_back({.address = address,
                   .certificate = {},
                   .key = {},
                   .tls = deployment.tls,
                   .proxies = *proxies,
                   .overlap = deployment.overlap});
  if (auto read = read_limits(deployment, limits); !read) return std::unexpected(std::move(read).error());
  return edge::start(service, all, limits, threads);
}

}  // namespace

int Application::serve(server::Settings settings) {
  Signals signals;  // before any thread is made: they inherit the mask
  auto made = instance(std::move(settings));
  if (!made) return complain(made.error());
  auto& running = **made;
  const auto& deployment = running.deployment();

  // Before the first request can arrive: a start that is refused has answered nobody.
  if (auto begun = running.start(); !begun)
    return complain({{.code = std::string(begun.error().problem->code),
                      .what = begun.error().detail,
                      .remedy = std::string(begun.error().problem->remedy)}});
  bound_bodies(running.services(), deployment);
  auto open = listen(running.site(), deployment.listen, deployment, static_cast<unsigned>(deployment.threads));
  if (!open)
    return complain(
        {{.code = "listen", .what = open.error().detail, .remedy = std::string(open.error().problem->remedy)}});
  std::unique_ptr<edge::Server> management;
  if (deployment.management != "off") {
    // Few ask there; its connections are no part of what `limits` allows the public.
    constexpr std::int64_t kManagementConnections = 256;
    auto second = listen(running.management(), {deployment.management}, server::Deployment{}, 1,
                         {.connections = kManagementConnections});
    if (!second)
      return complain({{.code = "listen",
                        .what = second.error().detail,
                        .remedy = "Choose another with `--management ADDRESS:PORT`, or `--management off`."}});
    management = std::move(*second);
  }
  for (const auto& remark : running.remarks()) say(remark);
  for (const auto& address : (*open)->addresses())
    say("plimsoll: " + running.contract().title + " " + running.contract().version + " at " + address);
  if (management)
    for (const auto& address : management->addresses()) say("plimsoll: management at " + address);

  signals.wait();
  running.draining();
  if (auto* log = running.services().log) log->write(telemetry::Level::info, "draining");
  (*open)->drain();
  (*open)->wait();
  running.stop();
  if (management) {
    management->drain();
    management->wait();
  }
  return 0;
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
