#include "plimsoll/edge/server.hpp"

#include "plimsoll/edge/connection.hpp"
#include "plimsoll/edge/worker.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <semaphore>
#include <thread>

namespace plimsoll::edge {
namespace {

using config::field;

constexpr config::Field kFields[] = {
    field<&Limits::head>("head", "Bytes of a request's head, request line and header fields.", {1 << 10, 16 << 20}),
    field<&Limits::header_count>("header-count", "Header fields of a request.", {1, 10'000}),
    field<&Limits::target>("target", "Bytes of the request target.", {16, 16 << 20}),
    field<&Limits::body>("body", "Bytes of a request body, unless the operation sets its own limit."),
    field<&Limits::first_byte>("first-byte", "Time from the connection to its first byte.",
                               {kMillisecond, 30 * 86400 * kSecond}),
    field<&Limits::head_time>("head-time", "Time from the first byte of a head to its last.",
                              {kMillisecond, 30 * 86400 * kSecond}),
    field<&Limits::body_rate>(
        "body-rate",
        "The least rate of a request body in bytes a second, over any 5 s in which the server waits for it."),
    field<&Limits::response_rate>("response-rate",
                                  "The least rate in bytes a second at which a client must read a response, over any "
                                  "12 s in which the server waits for it."),
    field<&Limits::idle>("idle", "Time a connection may stay open between requests.",
                         {kMillisecond, 30 * 86400 * kSecond}),
    field<&Limits::lifetime>("lifetime", "Age after which a connection closes with its next response.",
                             {kMillisecond, 30 * 86400 * kSecond}),
    field<&Limits::bodies>("bodies",
                           "Bytes in memory of all bodies that are held whole, over all connections; the excess is "
                           "written to disk."),
    field<&Limits::bodies_on_disk>("bodies-on-disk",
                                   "Bytes of such bodies in unnamed files in the folder TMPDIR, else /tmp; beyond the "
                                   "limit a body is rejected (503)."),
    field<&Limits::connections>("connections", "Connections in total.", {1, 10'000'000}),
    field<&Limits::connections_per_address>("connections-per-address",
                                            "Connections of one client address (IPv6: one /64).", {1, 10'000'000}),
    field<&Limits::requests_per_connection>("requests-per-connection", "Requests after which a connection ends.",
                                            {1, 1'000'000'000}),
    field<&Limits::drain>("drain", "Time that requests and jobs in progress have to finish at shutdown.",
                          {0, 86400 * kSecond}),
    field<&Limits::shutdown_delay>("shutdown-delay",
                                   "Time between a SIGTERM and the drain, in which the server accepts connections and "
                                   "reports that it is not ready: for load balancers that check readiness.",
                                   {0, 86400 * kSecond}),
    field<&Limits::start_patience>("start-patience",
                                   "How long a start retries after errors of its environment (a locked database, a "
                                   "full disk, an address in use) before it ends with status 75.",
                                   {0, 86400 * kSecond}),
    field<&Limits::http2_streams>("http2-streams", "Streams of one HTTP/2 connection that are open at once.",
                                  {1, 10'000}),
    field<&Limits::http2_stream_window>("http2-stream-window",
                                        "Bytes of one body that may arrive before they are read.", {1, 1 << 30}),
    field<&Limits::http2_connection_window>("http2-connection-window",
                                            "Bytes of all bodies of a connection that may arrive before they are read.",
                                            {65'535, 1 << 30}),
    field<&Limits::http2_continuations>("http2-continuations", "CONTINUATION frames of one head.", {0, 1'000}),
    field<&Limits::http2_header_block>("http2-header-block", "Compressed bytes of one head.", {1 << 10, 1 << 30}),
    field<&Limits::http2_resets>(
        "http2-resets",
        "RST_STREAM frames that a client sends, or that the server sends because of the client's errors."),
    field<&Limits::http2_settings>("http2-settings", "SETTINGS frames: each is answered."),
    field<&Limits::http2_pings>("http2-pings", "PING frames: each is answered."),
    field<&Limits::http2_window_updates>(
        "http2-window-updates", "WINDOW_UPDATE frames, in addition to four for each DATA frame that was sent."),
    field<&Limits::http2_empty_data>("http2-empty-data", "DATA frames without content that end nothing."),
    field<&Limits::http2_other_frames>("http2-other-frames", "PRIORITY frames and those of unknown types."),
};

constexpr Problem kLimitsWrong{"configuration", 500, "The configuration is wrong", "Correct `limits`."};

/// What RFC 9113 and our own arithmetic can bear.
Result<> check(const Limits& limits) {
  for (const auto& rate : {limits.http2_resets, limits.http2_settings, limits.http2_pings, limits.http2_window_updates,
                           limits.http2_empty_data, limits.http2_other_frames})
    if (rate.limit < 1 || rate.per.nanoseconds < rate.limit)
      return fail(kLimitsWrong, "limits: a rate of `http2-…` allows at least one, and at most one each nanosecond");
  return {};
}

constexpr Problem kProxiesWrong{"configuration", 500, "The configuration is wrong", "Correct `trusted-proxies`."};

constexpr config::Field kProxies[] = {
    field<&Proxies::networks>("networks", "Addresses, networks (10.0.0.0/8) or `unix`: the trusted proxies."),
    field<&Proxies::header>(
        "header", "The header that the proxies write: `x-forwarded-for` or `forwarded`. The other one is not read."),
    field<&Proxies::protocol>("protocol", "Their connections begin with a PROXY protocol header, version 1 or 2."),
};

constexpr Problem kTooFewDescriptors{
    "configuration", 500, "The configuration is wrong",
    "Raise the limit of open files (`ulimit -n`; LimitNOFILE= of systemd; nofile of a container), or lower `limits: "
    "{connections}`."};

/// As many descriptors as the system lets this process have: each connection needs one. A number of connections that
/// somebody has chosen must fit; the default is made to, with room for what else is open (listeners, loops, the
/// database, files that are sent).
Result<> fit_descriptors(Limits& limits, unsigned threads) {
  constexpr std::int64_t kOthers = 64, kOfThread = 8, kLeast = 16;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  if (limit.rlim_cur != limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > static_cast<rlim_t>(INT64_MAX)) return {};
  const auto there = static_cast<std::int64_t>(limit.rlim_cur);
  if (limits.connections_chosen && there < limits.connections)
    return fail(kTooFewDescriptors, "limits: `connections` is " + std::to_string(limits.connections) +
                                        ", and this process may have only " + std::to_string(there) + " descriptors");
  const auto room = std::max(kLeast, there - kOthers - kOfThread * static_cast<std::int64_t>(threads));
  if (!limits.connections_chosen) limits.connections = std::min(limits.connections, room);
  return {};
}

}  // namespace

class Threaded final : public Server {
 public:
  Threaded(std::shared_ptr<Service> service, const Limits& limits) : shared_{std::move(service), limits} {}
  ~Threaded() override {
    drain();
    wait();
  }

  Result<> open(const std::vector<Listen>& listens, unsigned threads) {
    for (unsigned i = 0; i < threads; ++i) workers_.push_back(std::make_unique<Worker>(shared_));
    shared_.first.reset();  // each worker holds the one it serves
    for (const auto& listen : listens) {
      auto opened = open(listen, !listen.overlap);
      if (!opened) return std::unexpected(std::move(opened).error());
      // All listen before any accepts: what the system divides among sockets is divided among all of them.
      for (std::size_t i = threads; i-- > 0;)
        workers_[i]->listen(std::move(opened->listeners[i]), opened->bound.tls, opened->trust, opened->bound.number);
      bound_.push_back(std::move(opened->bound));
    }
    for (auto& worker : workers_) threads_.emplace_back([&worker] { worker->run(); });
    return {};
  }

  std::vector<std::string> addresses() const override {
    const std::scoped_lock lock(mutex_);
    std::vector<std::string> all;
    for (const auto& each : bound_) all.push_back(each.address);
    return all;
  }
  Result<std::unique_ptr<Change>> prepare(const std::vector<Listen>& listens) override {
    auto change = std::make_unique<Changed>();
    std::vector<bool> kept(bound_.size());
    for (const auto& listen : listens) {
      std::size_t at = 0;
      while (at < bound_.size() && (kept[at] || bound_[at].written != listen.address)) ++at;
      if (at < bound_.size()) {
        kept[at] = true;
        change->places.push_back({true, at});
        continue;
      }
      auto opened = open_beside(listen);
      if (!opened) return std::unexpected(std::move(opened).error());
      change->places.push_back({false, change->opened.size()});
      change->opened.push_back(std::move(*opened));
    }
    for (std::size_t i = 0; i < bound_.size(); ++i)
      if (!kept[i]) change->closed.push_back(bound_[i].number);
    return change;
  }
  void apply(std::unique_ptr<Change> given) override {
    auto& change = static_cast<Changed&>(*given);
    for (auto& each : change.opened)
      on_all([&](std::size_t i) {
        return [&worker = *workers_[i], listener = std::move(each.listeners[i]), tls = each.bound.tls,
                trust = each.trust, number = each.bound.number]() mutable {
          worker.listen(std::move(listener), std::move(tls), std::move(trust), number);
        };
      });
    for (const auto number : change.closed)
      for (auto& worker : workers_) worker->loop.post([&worker, number] { worker->close(number); });
    std::vector<Bound> now;
    const std::scoped_lock lock(mutex_);
    for (const auto& [was_there, at] : change.places)
      now.push_back(std::move(was_there ? bound_[at] : change.opened[at].bound));
    bound_.swap(now);
  }
  void drain() override {
    for (auto& worker : workers_) worker->loop.post([&worker] { worker->drain(); });
  }
  void cut() override {
    for (auto& worker : workers_) worker->loop.post([&worker] { worker->cut(); });
  }
  void serve(std::shared_ptr<Service> service) override {
    on_all([&](std::size_t i) { return [&worker = *workers_[i], service] { worker.serve(service); }; });
  }
  Result<> reload_certificates() override {
    Result<> all{};
    for (const auto& tls : contexts())
      if (auto done = tls->reload(); !done && all) all = std::move(done);
    return all;
  }
  std::int64_t certificates_expire() const override {
    std::int64_t first = 0;
    for (const auto& tls : contexts()) first = first ? std::min(first, tls->expires()) : tls->expires();
    return first;
  }
  std::int64_t connections() const override { return shared_.connection_counts.all(); }
  std::vector<Loop*> loops() override {
    std::vector<Loop*> all;
    for (auto& worker : workers_) all.push_back(&worker->loop);
    return all;
  }
  void wait() override {
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
  }
  Loop& any_loop() override { return workers_[next_.fetch_add(1, std::memory_order_relaxed) % workers_.size()]->loop; }

 private:
  friend Result<> check(const std::vector<Listen>& listens, const Limits& limits);

  /// What is listened on.
  struct Bound {
    std::string written, address;  ///< as it was given, and as it was bound
    std::uint64_t number;
    std::shared_ptr<net::TlsContext> tls;  ///< null: in clear
    net::SocketFile file;
  };
  struct Opened {
    Bound bound;
    std::shared_ptr<const Trust> trust;
    std::vector<net::Listener> listeners;  ///< one for each worker
  };
  struct Changed final : Change {
    struct Place {
      bool was_there;
      std::size_t at;  ///< in `bound_`, or in `opened`
    };
    std::vector<Place> places;  ///< in the order of the new list
    std::vector<Opened> opened;
    std::vector<std::uint64_t> closed;
  };

  /// `alone`: nobody else may listen there.
  Result<Opened> open(const Listen& listen, bool alone) {
    auto tls = secured(listen);
    if (!tls) return std::unexpected(std::move(tls).error());
    auto trust = trusted(listen);
    if (!trust) return std::unexpected(std::move(trust).error());
    if (alone)
      if (auto free = net::Listener::open(listen.address, false); !free)
        return std::unexpected(std::move(free).error());
    auto first = net::Listener::open(listen.address, true);
    if (!first) return std::unexpected(std::move(first).error());
    const auto address = first->address();
    Opened made{
        {listen.address, address, ++numbers_, std::move(*tls), net::SocketFile{address}}, std::move(*trust), {}};
    made.listeners.push_back(std::move(*first));
    while (made.listeners.size() < workers_.size()) {
      const auto& known = made.listeners.front();
      auto further = known.undivided() ? known.again() : net::Listener::open(address, true);
      if (!further) return std::unexpected(std::move(further).error());
      made.listeners.push_back(std::move(*further));
    }
    return made;
  }
  /// The same while others are open. One of our own on the same port (of another address, or closed a moment ago) is no
  /// reason to refuse it.
  Result<Opened> open_beside(const Listen& listen) {
    constexpr int kTries = 6;
    constexpr auto kBetween = std::chrono::milliseconds(50);
    const auto port = [](std::string_view address) {
      return address.substr(std::min(address.rfind(':'), address.size()));
    };
    const bool beside_own =
        std::ranges::any_of(bound_, [&](const auto& each) { return port(each.address) == port(listen.address); });
    for (int i = 1;; ++i) {
      auto opened = open(listen, !listen.overlap && !beside_own);
      if (opened || !opened.error().retryable || i == kTries) return opened;
      std::this_thread::sleep_for(kBetween);
    }
  }
  /// Has each loop call what `make` gives for it, and waits until all have. A loop that is so busy does it later.
  template <class Make>
  void on_all(const Make& make) {
    constexpr auto kPatience = std::chrono::seconds(1);
    const auto done = std::make_shared<std::counting_semaphore<>>(0);
    for (std::size_t i = 0; i < workers_.size(); ++i)
      workers_[i]->loop.post([call = make(i), done]() mutable {
        call();
        done->release();
      });
    const auto until = std::chrono::steady_clock::now() + kPatience;
    for (std::size_t i = 0; i < workers_.size(); ++i)
      if (!done->try_acquire_until(until)) return;
  }
  std::vector<std::shared_ptr<net::TlsContext>> contexts() const {
    const std::scoped_lock lock(mutex_);
    std::vector<std::shared_ptr<net::TlsContext>> all;
    for (const auto& each : bound_)
      if (each.tls) all.push_back(each.tls);
    return all;
  }

  static Result<std::shared_ptr<const Trust>> trusted(const Listen& listen) {
    const auto& proxies = listen.proxies;
    auto networks = Networks::parse(proxies.networks);
    if (!networks) return std::unexpected(std::move(networks).error());
    if (proxies.header != "x-forwarded-for" && proxies.header != "forwarded")
      return fail(kProxiesWrong,
                  "trusted-proxies: `header` is x-forwarded-for or forwarded, and not \"" + proxies.header + "\"");
    if (proxies.protocol && networks->empty())
      return fail(kProxiesWrong, "trusted-proxies: `protocol` needs `networks`; without them no client could connect");
    return std::make_shared<const Trust>(std::move(*networks), proxies.header == "forwarded", proxies.protocol);
  }
  /// Null: in clear.
  Result<std::shared_ptr<net::TlsContext>> secured(const Listen& listen) {
    auto options = listen.tls;
    if (!listen.certificate.empty()) options.certificate = listen.certificate, options.key = listen.key;
    if (!options.has_certificate()) return nullptr;
    using telemetry::Level, telemetry::Line;
    auto* log = shared_.log;
    const auto& address = listen.address;
    auto reloaded = [log, address](const Result<>& done) {
      if (!log) return;
      if (done)
        log->write(Level::info, "certificates-reloaded", [&](Line& line) { line.add("address", address); });
      else
        log->write(Level::warning, "certificates-not-reloaded",
                   [&](Line& line) { line.add("address", address).add("detail", done.error().detail); });
    };
    auto expiring = [log, address](std::int64_t at) {
      if (!log) return;
      constexpr std::int64_t kDay = 86400;
      const auto left = at - system_clock().wall() / kSecond;
      log->write(left > 0 ? Level::warning : Level::error, left > 0 ? "certificate-expires" : "certificate-expired",
                 [&](Line& line) {
                   line.add("address", address)
                       .add("expires_unix", at)
                       .add("days_left", left / kDay)
                       .add("remedy", "renew it: changed files are used without a restart");
                 });
    };
    return net::TlsContext::load(std::move(options), std::move(reloaded), system_clock(), std::move(expiring));
  }

  Shared shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
  mutable std::mutex mutex_;  ///< of `bound_`, which one thread changes
  std::vector<Bound> bound_;
  std::uint64_t numbers_ = 0;
  std::atomic<unsigned> next_{0};
};

const std::span<const config::Field> kLimitFields = kFields;
const std::span<const config::Field> kProxyFields = kProxies;

Result<Proxies> read_proxies(const json::Value* from) {
  Proxies proxies;
  if (!from) return proxies;
  if (from->is(json::Type::object)) {
    auto read = config::read(*from, kProxyFields, &proxies);
    if (!read) return std::unexpected(std::move(read).error());
    return proxies;
  }
  auto networks = config::Form<std::vector<std::string>>::read(*from);
  if (!networks) return std::unexpected(std::move(networks).error());
  proxies.networks = std::move(*networks);
  return proxies;
}

Result<> check(const std::vector<Listen>& listens, const Limits& limits) {
  if (auto good = check(limits); !good) return good;
  auto fitting = limits;
  if (auto enough = fit_descriptors(fitting, 1); !enough) return enough;
  for (const auto& listen : listens) {
    if (auto written = net::Listener::check(listen.address); !written) return written;
    if (auto trust = Threaded::trusted(listen); !trust) return std::unexpected(std::move(trust).error());
    auto options = listen.tls;
    if (!listen.certificate.empty()) options.certificate = listen.certificate, options.key = listen.key;
    if (!options.has_certificate()) continue;
    if (auto tls = net::TlsContext::load(std::move(options)); !tls) return std::unexpected(std::move(tls).error());
  }
  return {};
}

Result<std::unique_ptr<Server>> start(Service& service, const std::vector<Listen>& listen, const Limits& limits,
                                      unsigned threads) {
  return start(std::shared_ptr<Service>(std::shared_ptr<void>{}, &service), listen, limits, threads);
}

Result<std::unique_ptr<Server>> start(std::shared_ptr<Service> service, const std::vector<Listen>& listen,
                                      const Limits& limits, unsigned threads) {
  if (auto good = check(limits); !good) return std::unexpected(std::move(good).error());
  if (!threads) threads = std::max(1u, std::thread::hardware_concurrency());
  auto fitting = limits;
  if (auto enough = fit_descriptors(fitting, threads); !enough) return std::unexpected(std::move(enough).error());
  auto server = std::make_unique<Threaded>(std::move(service), fitting);
  auto opened = server->open(listen, threads);
  if (!opened) return std::unexpected(std::move(opened).error());
  return server;
}

}  // namespace plimsoll::edge
