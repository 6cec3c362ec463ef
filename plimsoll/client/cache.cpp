#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/client/wire.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/cache/fills.hpp"
#include "plimsoll/exchange/cache/origin_cache.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/field_name.hpp"
#include "plimsoll/http/key_text.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/net/pem.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"
#include "plimsoll/telemetry/sparse.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace plimsoll::client {
namespace {

/// Fields that do not say whose a request is; those that begin with one that ends in `*` too. All others may: services
/// know their callers by fields of many names. The address of a caller stands in some of these, and is of many.
constexpr std::string_view kOfNoUser[] = {"accept",
                                          "accept-*",
                                          "baggage",
                                          "cache-control",
                                          "connection",
                                          "content-*",
                                          "date",
                                          "dnt",
                                          "expect",
                                          "forwarded",
                                          "host",
                                          "if-*",
                                          "max-forwards",
                                          "origin",
                                          "pragma",
                                          "prefer",
                                          "priority",
                                          "range",
                                          "referer",
                                          "save-data",
                                          "sec-ch-*",
                                          "sec-fetch-*",
                                          "sec-gpc",
                                          "te",
                                          "trailer",
                                          "traceparent",
                                          "tracestate",
                                          "upgrade-insecure-requests",
                                          "user-agent",
                                          "via",
                                          "x-correlation-id",
                                          "x-forwarded-for",
                                          "x-plimsoll-attempt",
                                          "x-request-id",
                                          "x-requested-with"};

/// `timeout` ends a call, which stands behind this.
constexpr Nanoseconds kLongest = 24 * 3600 * kSecond;

/// The responses of one service that are stored, as long as it has that budget.
struct Responses : origin::CacheState {
  Responses(const config::Size& memory, std::int64_t entries)
      : CacheState(static_cast<std::size_t>(memory.bytes), static_cast<std::size_t>(entries)) {}
  std::vector<telemetry::Observation> observations;  // last: they read what stands above
};

/// The user of a key is whoever the service takes a call for: this server by its credential, and the caller whose own
/// credential is passed on.
class OfService final : public origin::Place {
 public:
  explicit OfService(const Build& build)
      : service_(build.service),
        log_(build.services.log),
        events_(build.shared->of<Kept<Events>>()->of(build.service)) {
    put_part(prefix_, 'S', build.service);
    // A service of that name elsewhere, or that knows this server by another name, is another one.
    std::string who;
    if (!build.peers.empty()) {
      const auto& url = build.peers.front().url;
      authority_ = url.authority;
      base_ = base_path(url);
      own_target_ = url.target;
      scheme_ = url.tls ? "https" : "http";
      put_part(who, 'u', url.authority);
      put_part(who, 'b', base_);
    }
    put_part(who, 'c', build.credential ? json::to_string(*build.credential) : std::string());
    put_part(who, 'm', build.certificate.empty() ? "" : net::pem_text(std::string(build.certificate)).value_or(""));
    const auto digest = sha256(who);
    put_part(prefix_, 'i', as_text(digest));
    if (build.credential)
      for (const auto* way : {"bearer", "user", "oauth2", "aws"}) replaces_ |= build.credential->find(way) != nullptr;
  }

  void put_key(std::string& key, const Request& request, const Context&) const override {
    key += prefix_;
    put_part(key, 's', scheme_);
    put_authority(key, 'a', authority_of(request));
    put_part(key, 'p', request.path);
    put_part(key, request.has_query ? 'q' : '-', request.query);
    std::string callers;
    for (const auto& [name, value] : request.headers) {
      if (!tells_apart(name)) continue;
      put_part(callers, 'n', lowered(name));
      put_part(callers, 'h', value);
    }
    if (callers.empty()) return;
    const auto digest = sha256(callers);
    put_part(key, 'c', as_text(digest));
  }
  http::origin::Resource resource(const Request& request) const override {
    return {.scheme = scheme_, .authority = authority_of(request), .path = request.path};
  }
  bool is_authorized(const Context&) const override { return false; }
  bool passes(const Request& request, Context& context) const override {
    return !call_state(request, context).websocket_key.empty();
  }
  bool has_body(const Request& request, const Context&) const override {
    return request.body && request.content_length != 0;
  }
  /// A query that is posted does not.
  bool changes(const Request& request, Context& context) const override {
    return !http::is_safe(request.method) && call_state(request, context).repeats != Repeats::safe;
  }
  /// The handler and the log ask the state of the call that they know.
  void answered(const Request& sent, Context& own, const Request& request, Context& context) const override {
    const auto& from = call_state(sent, own);
    auto& to = call_state(request, context);
    to.target = from.target;
    to.connected = from.connected, to.written = from.is_written();
    to.credential_refused = from.credential_refused;
    to.awaits = from.awaits, to.awaits_since = from.awaits_since;
    to.token_server = context.arena.keep(from.token_server);
    to.until = from.until;
  }

  void given_stale(const Context& context) const override {
    const auto times = log_ ? events_->stale.add(context.loop.now()) : 0;
    if (times == 0) return;
    log_->write(telemetry::Level::warning, "stale-response-used", [&](telemetry::Line& line) {
      line.add("service", service_);
      line.add("times", times);
    });
  }

  /// What the request is for, in the fields that a cache looks at: here only its target is known.
  void describe(Request& request, Context& context) const {
    auto target = request.target.empty() ? std::string_view(own_target_) : request.target;
    if (!request.target.empty() && !base_.empty()) {
      auto& whole = context.keep<std::string>(base_);
      target = whole.append(request.target);
    }
    const auto mark = std::min(target.find('?'), target.size());
    request.path = target.substr(0, mark);
    request.has_query = mark < target.size();
    request.query = request.has_query ? target.substr(mark + 1) : std::string_view{};
  }

 private:
  std::string_view authority_of(const Request& request) const {
    return request.authority.empty() ? std::string_view(authority_) : request.authority;
  }
  /// Whether a field may tell callers apart. A credential that this server's own replaces reaches no service.
  bool tells_apart(std::string_view name) const {
    if (replaces_ && same_variable(name, "authorization")) return false;
    return std::ranges::none_of(kOfNoUser, [&](std::string_view each) {
      if (!each.ends_with('*')) return equal_ignoring_case(name, each);
      each.remove_suffix(1);
      return equal_ignoring_case(name.substr(0, each.size()), each);
    });
  }

  struct Events {
    telemetry::Sparse stale{10 * kSecond};
  };
  const std::string service_;
  telemetry::Log* const log_;
  const std::shared_ptr<Events> events_;
  std::string prefix_, authority_, base_, own_target_;
  std::string_view scheme_ = "http";
  bool replaces_ = false;  ///< `Authorization` is this server's own
};

/// Whether a 401 or 403 may be meant for the caller: no credential of this server is shown, or `refusals: pass`.
bool judges_callers(const json::Value* credential) {
  const auto* refusals = credential ? credential->find("refusals") : nullptr;
  return !credential || (refusals && refusals->is(json::Type::string) && refusals->string() == "pass");
}

/// Stores responses as a private HTTP cache does (RFC 9111, RFC 5861), for as long as the service says.
class Cache final : public Policy {
 public:
  struct Options {
    config::Size memory = config::mebibytes(16);
    std::int64_t entries = 10'000;
    config::Size largest = config::mebibytes(1);
    config::Duration stale_if_error{};
    bool heuristic = false;
    bool obey_requests = true;
  };
  static constexpr config::Field fields[] = {
      config::shown(
          config::field<&Options::memory>(
              "memory", "The most bytes of all stored responses of the service, of one process, at least 1MiB."),
          "16MiB"),
      config::field<&Options::entries>("entries", "The most stored responses of the service, of one process.",
                                       {1, 10'000'000}),
      config::field<&Options::largest>("largest", "Larger bodies are not stored."),
      config::field<&Options::stale_if_error>(
          "stale-if-error",
          "How long after its freshness a response is used if the service fails, where the service says nothing; "
          "not where it says `no-cache` or `must-revalidate`."),
      config::field<&Options::heuristic>(
          "heuristic",
          "A response with `Last-Modified` and without explicit freshness is fresh for a "
          "tenth of its age, at most a day."),
      config::field<&Options::obey_requests>(
          "obey-requests", "Whether `no-cache`, `max-age` and `min-fresh` of a call make the cache ask the service."),
  };
  static constexpr std::string_view short_form = config::Form<config::Size>::schema;
  static constexpr std::string_view example = "16MiB";
  static constexpr Metric metrics[] = {
      {"plimsoll_client_cache_answers_total", "1",
       "Answers to calls of a service with `cache`, by where they came from: `hit`, `stale`, `miss`, `collapsed`, "
       "`bypass`, `validated`."},
      {"plimsoll_client_cache_bytes", "By", "Bytes of the stored responses of a service."},
      {"plimsoll_client_cache_entries", "1", "Stored responses of a service."},
  };

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    if (!from) return nullptr;
    if (from->is(json::Type::string) && (from->string() == "origin" || config::Form<config::Duration>::read(*from)))
      return config::wrong(*from,
                           "how long a response is stored is the service's to say (`Cache-Control`); `cache` of "
                           "a service is the memory for its responses, such as 16MiB, or an object");
    auto options = read_either<&Options::memory>(*from, fields);
    if (!options) return std::unexpected(std::move(options).error());
    if (options->memory.bytes < config::mebibytes(1).bytes)
      return config::wrong(*from, "`memory` of `cache` is at least 1MiB");
    Fills::keep_account(build.services);
    return std::make_unique<Cache>(*options, build);
  }
  Cache(const Options& options, const Build& build) : place_(build) {
    const auto name =
        std::string(build.service) + ' ' + std::to_string(options.memory.bytes) + ' ' + std::to_string(options.entries);
    auto responses = build.shared->of<Kept<Responses>>()->of(name, options.memory, options.entries);
    CacheCounters counts{};
    if (auto* registry = build.services.metrics) {
      const telemetry::Label service{"service", build.service};
      counts = cache_counters(*registry, metrics[0], service);
      if (responses->observations.empty()) {
        const auto observe = [&](const Metric& metric, auto read) {
          responses->observations.push_back(
              registry->observe(telemetry::Kind::gauge, metric.name, metric.sentence, {{service}},
                                [store = &responses->store, read] { return static_cast<double>((store->*read)()); }));
        };
        observe(metrics[1], &CacheStore::bytes);
        observe(metrics[2], &CacheStore::size);
      }
    }
    const auto fits = responses->store.largest_body();
    cache_ = origin::origin_cache({.rules = {.heuristic = options.heuristic, .cookies = false, .shared = false},
                                   .obeys = options.obey_requests,
                                   .largest = std::min<std::uint64_t>(options.largest.bytes, fits),
                                   .when_failing = options.stale_if_error.nanoseconds,
                                   .patience = kLongest,
                                   .refusals = judges_callers(build.credential),
                                   .name = "plimsoll-client"},
                                  std::make_unique<OfService>(place_), std::move(responses), counts,
                                  build.services.clock ? *build.services.clock : system_clock());
  }

  PLIMSOLL_FORWARDS Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    place_.describe(request, context);
    if (!http::is_safe(request.method)) call_state(request, context).once = &origin::watch_effect(context);
    return cache_->apply(request, context, next);
  }

 private:
  const OfService place_;
  std::unique_ptr<Policy> cache_;
};

}  // namespace

extern constinit const Part cache = part<Cache>(
    "cache", "Stores responses of the service as a private HTTP cache does (RFC 9111), for as long as it says.");

}  // namespace plimsoll::client
