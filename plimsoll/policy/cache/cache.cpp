#include "plimsoll/async/start.hpp"
#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/cache/cache_store.hpp"
#include "plimsoll/exchange/cache/fills.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/problems.hpp"
#include "plimsoll/exchange/reading.hpp"
#include "plimsoll/exchange/upgrade.hpp"
#include "plimsoll/http/cache_control.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/http/websocket.hpp"
#include "plimsoll/policy/cache/cache_fill.hpp"
#include "plimsoll/policy/cache/cache_key.hpp"
#include "plimsoll/policy/cache/cache_shared.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <new>

namespace plimsoll::policy {
namespace {

constexpr Nanoseconds kStale = config::days(1).nanoseconds;  ///< for which `fallback: stale` gives a response
constexpr std::size_t kMostNames = 16;                       ///< of fields that the responses of one key vary by
constexpr int kRounds = 4;  ///< fills that are overtaken by writes until one asks for oneself

constexpr contract::HeaderField kHeaders[] = {
    {"Cache-Status", "Whether the response came from the cache (RFC 9211)."},
    {"Age", "Seconds since the response was made.", R"({"type":"integer","minimum":0})"},
    contract::kCacheControl,
    {"CDN-Cache-Control", "How shared caches in front may keep the response (RFC 9213)."},
    contract::kEntityTag};

/// `cache:` of the deployment.
struct Room {
  config::Size memory = config::mebibytes(64);
};
constexpr config::Field kRoomFields[] = {
    config::field<&Room::memory>("memory", "The most bytes of all cached responses of this process."),
};
constexpr config::Section kCache =
    config::section<Room, kRoomFields>("cache", "Where responses are cached.", "{memory: 64MiB}");

/// Answers from memory as a shared cache does (RFC 9111, RFC 5861): fills are made once for all who wait and belong to
/// no client; what a write has made old is not served. A hit costs the key, one lock of a shard and the headers.
class Cache final : public Policy {
 public:
  struct Options {
    config::Duration ttl{};
    config::Duration browser_ttl{};
    config::Duration stale_while_revalidate{};
    config::Duration stale_if_error{};
    config::Size largest = config::mebibytes(1);
    bool origin = false;
    bool heuristic = false;
    bool cookies = true;
    bool obey_requests = false;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::ttl>("ttl",
                                   "How long a response is fresh, here and in shared caches in front of the server."),
      config::field<&Options::browser_ttl>("browser-ttl",
                                           "How long a client may use the response without revalidation."),
      config::field<&Options::stale_while_revalidate>(
          "stale-while-revalidate",
          "How long after that the old response is still served while a new one is fetched in the background."),
      config::field<&Options::stale_if_error>(
          "stale-if-error", "How long after that the old response is served if no new one can be obtained."),
      config::field<&Options::largest>("largest", "Larger bodies are not cached."),
      config::field<&Options::origin>(
          "origin", "Follows the headers of the upstream as a shared cache (RFC 9111), instead of the durations here."),
      config::field<&Options::heuristic>("heuristic",
                                         "With `origin`: a response with `Last-Modified` and without explicit "
                                         "freshness is fresh for a tenth of its age, at most a day."),
      config::field<&Options::cookies>(
          "cookies",
          "With `origin`: whether responses with `Set-Cookie` are stored that have explicit freshness; "
          "`false`: only with `public`, `s-maxage` or `CDN-Cache-Control`."),
      config::field<&Options::obey_requests>(
          "obey-requests",
          "With `origin`: whether `no-cache`, `max-age` and `min-fresh` of a request make the cache ask "
          "the upstream."),
  };
  static constexpr std::string_view short_form = R"("type":"string","pattern":"^([0-9]+(ms|s|m|h|d)|off|origin)$")";
  static constexpr std::string_view example = "{ttl: 5m, stale-while-revalidate: 1m}";
  static constexpr auto methods = config::Methods::safe;
  static constexpr const Problem* problems[] = {&kNotCached};
  static constexpr config::Section deployment[] = {kCache};
  static constexpr Metric metrics[] = {
      {"plimsoll_cache_answers_total", "answers", "Answers of cacheable operations by where they came from."}};

  static Result<Options> read(const json::Value& from) {
    if (from.is(json::Type::string) && from.string() == "origin") {
      Options follows;
      follows.origin = true;
      return follows;
    }
    auto read = read_either<&Options::ttl>(from, fields);
    if (!read) return read;
    const auto& options = *read;
    if (options.origin) {
      for (const auto* name : {"ttl", "browser-ttl", "stale-while-revalidate", "stale-if-error"})
        if (const auto* said = from.find(name))
          return config::wrong(*said, "`" + std::string(name) + "` is the upstream's to say with `cache: origin`");
      return read;
    }
    for (const auto* name : {"heuristic", "cookies", "obey-requests"})
      if (const auto* said = from.is(json::Type::object) ? from.find(name) : nullptr)
        return config::wrong(*said, "`" + std::string(name) + "` is of `cache: {origin: true}`");
    if (options.ttl.nanoseconds <= 0) return config::wrong(from, "`cache` needs a `ttl`, such as `cache: 5m`");
    return read;
  }
  static Result<std::unique_ptr<Policy>> build(Options options, const Build& build);

  static void describe(const Options& options, const Description& description, contract::Promises& promises) {
    if (options.origin && description.operation.method == "GET" && description.operation.extension("upstream")) {
      promises.refuses(kNotCached);
      promises.sends(kHeaders[0]);
      promises.sends(kHeaders[1], contract::kSuccessOrUnchanged);
      promises.answers(304, "The caller has the current representation.");
      if (description.mode == Mode::enforce)
        promises.notes(
            "A response may come from a cache, as its `Cache-Control` permits; `Age` and `Cache-Status` tell.");
      return;
    }
    if (options.ttl.nanoseconds == 0 || description.operation.method != "GET") return;
    promises.refuses(kNotCached);
    for (const auto& field : kHeaders) promises.sends(field);
    if (description.mode != Mode::enforce) return;
    const auto oldest = options.ttl.nanoseconds + options.stale_while_revalidate.nanoseconds;
    promises.notes("A response may come from a cache and be up to `" + config::to_string(config::Duration{oldest}) +
                   "` old; `Age` and `Cache-Status` tell.");
    if (options.browser_ttl.nanoseconds > 0)
      promises.notes("Clients may use a response for `" + config::to_string(options.browser_ttl) +
                     "` without asking again.");
  }

  Cache(const Options& options, const Build& build, std::shared_ptr<CacheShared> shared)
      : keeping_{.ttl = options.ttl.nanoseconds,
                 .browser_ttl = options.browser_ttl.nanoseconds,
                 .while_revalidate = options.stale_while_revalidate.nanoseconds,
                 .if_error = options.stale_if_error.nanoseconds,
                 .largest = std::min(static_cast<std::size_t>(options.largest.bytes), shared->store.largest_body()),
                 .is_private = !build.operation.security.empty(),
                 .keyed = build.operation.extension("upstream") ? &build.operation : nullptr},
        upgrades_(offers_websocket(build.operation)),
        prefers_(build.services.mock || build.operation.extension("mock")),
        key_(build.operation, build.handler ? build.handler->audience() : Audience{},
             build.services.of_plan->of<DocumentIdentity>(*build.contract.root)->hash,
             !build.operation.extension("table")),
        clock_(*build.services.clock),
        tables_(build.services.database ? &build.services.database->versions() : nullptr),
        replicated_(build.services.database && build.services.database->has_replicas() ? build.services.database
                                                                                       : nullptr),
        shared_(std::move(shared)) {
    if (!build.services.metrics) return;
    for (std::size_t i = 0; i < std::size(counts_); ++i) {
      const telemetry::Label labels[] = {{"operation", build.operation.id}, {"source", kCacheSources[i]}};
      counts_[i] = &build.services.metrics->counter(metrics[0].name, metrics[0].sentence, labels);
    }
  }

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    if (upgrades_ && http::asks_for_websocket(request)) [[unlikely]] {
      auto answer = co_await next(request, context);
      co_return answer;
    }
    std::string key;
    key.reserve(kKey);
    key_.write(key, request, context);
    if (mode() == Mode::shadow) {
      auto answer = co_await watched_only(request, context, next, key);
      co_return answer;
    }
    const auto primary = key.size();
    const auto arrived = basis_at(request.path);
    // What the request has to show, and no fill of this process is known to show, it reads itself.
    const auto* consistency = replicated_ ? context.noted<Consistency>() : nullptr;
    const auto after = consistency ? consistency->after : 0;
    const bool passes = (prefers_ && request.headers.contains("prefer")) || after > arrived.position;
    const int rounds = passes ? 0 : kRounds;
    for (int round = 0; round < rounds; ++round) {
      key.resize(primary);
      std::vector<std::string> vary;
      auto kept = find(key, request, &vary);
      // What the service looks at and no fill may carry, this request says: it is answered for itself.
      if (says_what_is_never_carried(vary, request)) break;
      const auto now = clock_.steady();
      if (kept && kept->kind == CachedAnswer::Kind::pass && now < kept->fresh) break;
      const bool current = kept && kept->kind == CachedAnswer::Kind::answer && !outdated(*kept, arrived.resource_at) &&
                           kept->basis.position >= after;
      if (current && now < kept->fresh) co_return serve(hit, std::move(kept), context, now, "; hit");
      if (request.method == "HEAD" || only_if_cached(request)) break;

      auto ticket = shared_->flights.board(key);
      const bool waits = !current || now >= kept->while_revalidate;
      std::weak_ptr<CacheFill> own;
      if (ticket.leads) own = begin_fill(request, context, next, key, primary, ticket.flight, vary, waits);
      if (!waits) co_return serve(stale, std::move(kept), context, now, "; hit");
      auto landed =
          co_await ticket.flight->wait(context.loop, ticket.leads ? kFillTime : patience_for_another(context));
      const auto good_enough = [&] {  // where there is nothing new; a write may have come meanwhile
        return current && clock_.steady() < kept->if_error && !outdated(*kept, shared_->resources.of(request.path));
      };
      if (!landed && landed.error().problem != &kDeadlineExceeded) co_return std::unexpected(std::move(landed).error());
      // Another caller's takes long: this one is sent for itself.
      if (landed && !*landed && !ticket.leads) break;
      if (!landed || !*landed) {
        // The caller can wait no longer for a new one.
        if (!landed && good_enough())
          co_return serve(stale, std::move(kept), context, clock_.steady(), "; fwd=stale; detail=stale-if-error");
        const auto fill = own.lock();
        co_return std::unexpected(Error{&kDeadlineExceeded}.because(
            fill ? client::Service::still_awaited(fill->context, context) : std::string(kOfAnother)));
      }
      const auto& fetched = ***landed;
      const auto then = clock_.steady();
      if (fetched.failed() && good_enough())
        co_return serve(stale, std::move(kept), context, then, "; fwd=stale; detail=stale-if-error");
      if (fetched.error) co_return std::unexpected(*fetched.error);
      // What is not for all may come of what a fill leaves out: who asked is answered for itself.
      const bool anew = !ticket.leads || keeping_.keyed;
      if (!fetched.answer || (!fetched.storable && anew && fetched.answer->status < 400)) break;
      // Whoever joined a flight asks again where the answer tells requests apart by headers, or a write came between.
      if (!ticket.leads && fetched.storable && !fetched.answer->vary.empty() && round + 1 < kRounds) continue;
      // The service has looked at a field that the fill did not carry: now the key holds it.
      if (ticket.leads && fetched.storable && says_more(fetched.answer->vary, vary, request) && round + 1 < kRounds)
        continue;
      if (!recent_enough(fetched.answer->basis, arrived, request.path) || fetched.answer->basis.position < after)
        continue;
      co_return serve(ticket.leads ? miss : collapsed, fetched.answer, context, then,
                      !ticket.leads      ? "; fwd=uri-miss; collapsed"
                      : fetched.storable ? "; fwd=uri-miss; stored"
                                         : "; fwd=uri-miss");
    }
    if (only_if_cached(request)) {
      Error error{&kNotCached, "nothing fresh is kept"};
      if (refuses(context, error)) co_return std::unexpected(std::move(error));
    }
    count(bypass);
    auto answer = co_await next(request, context);
    if (answer) answer->headers.set("cache-status", "plimsoll; fwd=bypass");
    co_return answer;
  }

 private:
  enum Source : std::uint8_t { hit, stale, miss, collapsed, bypass };  ///< as CacheSource

  void count(Source source) const {
    if (counts_[source]) counts_[source]->add();
  }
  static bool only_if_cached(const Request& request) {
    const auto said = request.headers.joined("cache-control");
    return !said.empty() && http::parse_cache_control(said).only_if_cached;
  }

  Basis basis_at(std::string_view path) const {
    return {.tables_at = tables_ ? tables_->now() : 0,
            .tables = {},
            .resource_at = shared_->resources.of(path),
            .position = replicated_ ? replicated_->known_position() : 0};
  }
  /// Whether something that it shows was changed since it was begun to be made, as far as is known at `resource_at`.
  static bool outdated(const CachedAnswer& kept, std::uint64_t resource_at) {
    return kept.basis.tables_written() || kept.basis.resource_at < resource_at;
  }
  /// Whether nothing was written between the beginning of a fill and the arrival of who waited for it. A fill that
  /// began later than that is recent enough whatever was written meanwhile.
  static bool recent_enough(const Basis& basis, const Basis& arrived, std::string_view) {
    if (basis.resource_at < arrived.resource_at) return false;
    return basis.tables_at >= arrived.tables_at || !basis.tables_written();
  }

  /// What is kept under the key; where answers vary, `key` becomes that of this request.
  /// `vary`: gets the names that they vary by.
  std::shared_ptr<const CachedAnswer> find(std::string& key, const Request& request,
                                           std::vector<std::string>* vary = nullptr) {
    auto kept = shared_->store.find(key);
    if (!kept || kept->kind != CachedAnswer::Kind::varies) return kept;
    CacheKey::vary(key, kept->vary, request);
    if (vary) *vary = kept->vary;
    return shared_->store.find(key);
  }

  bool says_what_is_never_carried(std::span<const std::string> vary, const Request& request) const {
    return keeping_.keyed && std::ranges::any_of(vary, [&](auto& name) {
             return carried(*keeping_.keyed, name) == Carried::never && request.headers.contains(name);
           });
  }
  /// Whether the request says something in a field that the answer varies by and the fill was made without.
  bool says_more(std::span<const std::string> varies, std::span<const std::string> had, const Request& request) const {
    return keeping_.keyed && std::ranges::any_of(varies, [&](auto& name) {
             return std::ranges::find(had, name) == had.end() && request.headers.contains(name);
           });
  }

  Response serve(Source source, std::shared_ptr<const CachedAnswer> kept, Context& context, Nanoseconds now,
                 std::string_view how) {
    count(source);
    const bool storable = kept->fresh != 0;
    const auto left = (kept->fresh - now) / kSecond;
    auto answer = answer_from(std::move(kept), context, keeping_, now);
    ArenaText status{context.arena, how.size() + 64};
    status << "plimsoll" << how;
    if (storable) status << "; ttl=" << left;
    answer.headers.add("cache-status", lasting(status.text()));
    return answer;
  }

  using Flight = SingleFlight<std::shared_ptr<const Fetched>>::Flight;

  /// `at_once`: the request waits for it. Where its handler does not wait, the fill has ended then.
  std::weak_ptr<CacheFill> begin_fill(const Request& request, const Context& context, Next next, const std::string& key,
                                      std::size_t primary, std::shared_ptr<Flight> flight,
                                      std::span<const std::string> vary, bool at_once) {
    try {
      const auto asks = keeping_.keyed ? CacheFill::Asks::keyed : CacheFill::Asks::canonical;
      auto made = std::make_shared<CacheFill>(request, context, asks, vary);
      made->entry.awaited = [flight = flight.get()] { return flight->awaited(); };
      std::weak_ptr<CacheFill> begun = made;
      auto& scope = made->scope;
      auto work = fill(std::move(made), next, key, primary, flight);
      if (at_once)
        start(context.loop, scope, std::move(work));
      else
        context.loop.spawn(scope, std::move(work));
      return begun;
    } catch (...) {  // without memory; those that wait for this fill must not wait until their deadline
      shared_->flights.land(key, *flight, ended_early_);
      throw;
    }
  }

  /// Whatever happens to a fill, the requests that wait for it get a result.
  struct Landing {
    CacheShared& shared;
    std::string_view key;
    Flight& flight;
    std::shared_ptr<const Fetched> fetched;
    ~Landing() { shared.flights.land(key, flight, std::move(fetched)); }
  };

  /// Without memory it ends early.
  Task<> fill(std::shared_ptr<CacheFill> made, Next next, std::string key, std::size_t primary,
              std::shared_ptr<Flight> flight) {
    Landing landing{*shared_, key, *flight, ended_early_};
    try {
      auto fetched = std::make_shared<Fetched>();
      auto& exchange = *made;
      exchange.context.deadline(exchange.context.now + kFillTime);
      // It may have been filled between the question and the boarding.
      auto kept = shared_->store.find(key);
      if (kept && kept->kind == CachedAnswer::Kind::answer && clock_.steady() < kept->fresh &&
          !outdated(*kept, shared_->resources.of(exchange.resource))) {
        *fetched = {.answer = std::move(kept), .error = {}, .storable = true};
        landing.fetched = std::move(fetched);
        co_return;
      }
      auto basis = basis_at(exchange.resource);
      auto answer = co_await next(exchange.request, exchange.context);
      keep(*fetched, answer, exchange.request, exchange.context, exchange.context.promised, std::move(basis), key,
           primary, exchange.carries);
      landing.fetched = std::move(fetched);
    } catch (const std::bad_alloc&) {}
  }

  /// An exception here would leave all who wait without an answer until their time is over.
  /// `carried`: names of fields that the request has because the key holds them.
  void keep(Fetched& fetched, const Result<Response>& answer, const Request& request, const Context& context,
            const Headers& promised, Basis basis, const std::string& key, std::size_t primary,
            std::span<const std::string> carried) noexcept {
    try {
      const auto now = clock_.steady();
      if (tables_)
        for (auto name : context.tables_read()) basis.tables.push_back(&tables_->of(name));
      fetched = fetched_of(answer, promised, keeping_, std::move(basis), now);
      if (fetched.error) return;
      if (!fetched.answer || !fetched.storable) {
        if (!fetched.answer || fetched.answer->status < 400) pass(key, now);
        return;
      }
      if (fetched.answer->vary.empty()) {
        fetched.storable = shared_->store.put(key, fetched.answer);
      } else {
        auto under = key.substr(0, primary);
        auto rule = std::make_shared<CachedAnswer>();
        rule->kind = CachedAnswer::Kind::varies;
        rule->vary = names_of(fetched.answer->vary, carried, shared_->store.find(under).get());
        fetched.storable = rule->vary.size() <= kMostNames;
        if (fetched.storable) {
          shared_->store.put(under, rule);
          CacheKey::vary(under, rule->vary, request);
          fetched.storable = shared_->store.put(under, fetched.answer);
        }
      }
      if (!fetched.storable) pass(key, now);
    } catch (...) { fetched = {.answer = nullptr, .error = error_from_current_exception()}; }
  }
  /// The fields that a response is kept under: what it names, what the request for it carried, and what others of the
  /// key vary by, which a service may name one after the other.
  static std::vector<std::string> names_of(std::span<const std::string> named, std::span<const std::string> carried,
                                           const CachedAnswer* rule) {
    std::vector<std::string> names(named.begin(), named.end());
    names.insert(names.end(), carried.begin(), carried.end());
    if (rule && rule->kind == CachedAnswer::Kind::varies)
      names.insert(names.end(), rule->vary.begin(), rule->vary.end());
    std::ranges::sort(names);
    const auto twice = std::ranges::unique(names);
    names.erase(twice.begin(), twice.end());
    return names;
  }
  void pass(const std::string& key, Nanoseconds now) {
    auto word = std::make_shared<CachedAnswer>();
    word->kind = CachedAnswer::Kind::pass;
    word->fresh = now + kPassing;
    shared_->store.put(key, std::move(word));
  }

  /// Shadow: what would have been a hit is counted, and every request is answered by the handler.
  Task<Result<Response>> watched_only(Request& request, Context& context, Next next, std::string key) {
    const auto primary = key.size();
    auto kept = find(key, request);
    const bool would_hit = kept && kept->kind == CachedAnswer::Kind::answer && clock_.steady() < kept->fresh &&
                           !outdated(*kept, shared_->resources.of(request.path));
    count(would_hit ? hit : miss);
    if (Error error{&kNotCached}; !would_hit && only_if_cached(request)) (void)refuses(context, error);
    auto basis = basis_at(request.path);
    auto answer = co_await next(request, context);
    Fetched fetched;
    if (!would_hit) keep(fetched, answer, request, context, Headers{context.arena}, std::move(basis), key, primary, {});
    co_return answer;
  }

  const Keeping keeping_;
  const bool upgrades_;  ///< a WebSocket is no answer that could be stored
  const bool prefers_;   ///< the handler is `mock`, which obeys `Prefer`: that is in no key, so such requests pass by
  const CacheKey key_;
  const Clock& clock_;
  database::TableVersions* const tables_;
  database::Database* const replicated_;  ///< null: it has no replicas
  const std::shared_ptr<CacheShared> shared_;
  const std::shared_ptr<const Fetched> ended_early_ = std::make_shared<const Fetched>(
      Fetched{.answer = {}, .error = Error{&kInternal, "a fill of the cache has ended early"}, .storable = false});
  telemetry::Counter* counts_[bypass + 1] = {};
};

/// A change of a resource makes what is cached of it old.
class Invalidation final : public Policy {
 public:
  explicit Invalidation(std::shared_ptr<CacheShared> shared) : shared_(std::move(shared)) {}
  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    origin::watch_effect(context);
    auto answer = co_await next(request, context);
    origin::invalidate(*shared_, resource_of(request), answer, context);
    co_return answer;
  }

 private:
  const std::shared_ptr<CacheShared> shared_;
};

Result<std::shared_ptr<CacheShared>> shared_of(const Services& services) {
  const auto room = read_section<Room>(services, kCache);
  if (!room) return std::unexpected(room.error());
  if (room->memory.bytes < config::mebibytes(1).bytes)
    return config::wrong(*services.deployment->find(kCache.key.name), "`memory` is at least 1MiB");
  return services.shared->of<CacheShared>(static_cast<std::size_t>(room->memory.bytes));
}

}  // namespace

bool follows_origin(const contract::Operation& operation) {
  const auto* said = operation.extension("cache");
  return Part::mode_of(said).value_or(Mode::off) == Mode::enforce && Part::says(said, "origin");
}

bool unverified(const Build& build) {
  if (build.operation.security.empty()) return false;
  const auto mode = Part::mode_of(build.operation.extension("authentication"));
  return build.services.mock || !mode || *mode != Mode::enforce;
}

namespace {

/// `fallback: stale` keeps for a day what nothing says of how long it may be kept.
bool stale_fallback(const contract::Operation& operation) {
  const auto* fallback = operation.extension("fallback");
  return Part::mode_of(fallback).value_or(Mode::off) == Mode::enforce && Part::says(fallback, "stale");
}

/// Whether anything of a contract is cached: only then does a write have something to remove.
struct CachedOperations {
  explicit CachedOperations(const contract::Contract& contract) {
    const auto* undeclared = contract.extension ? contract.extension->find("undeclared") : nullptr;
    any = (undeclared && undeclared->find("cache")) || std::ranges::any_of(contract.operations, [](const auto& each) {
            return http::is_safe(each.method) && each.extension("cache");
          });
  }
  bool any = false;
};

Result<std::unique_ptr<Policy>> Cache::build(Options options, const Build& build) {
  auto shared = shared_of(build.services);
  if (!shared) return std::unexpected(std::move(shared).error());
  Fills::keep_account(build.services);
  const auto& operation = build.operation;
  const auto fits = (*shared)->store.largest_body();
  if (build.settings && build.settings->find("largest") && static_cast<std::size_t>(options.largest.bytes) > fits)
    return build.wrong("largest",
                       "a body takes at most a sixteenth of the store, " + config::to_string(config::Size{fits}) +
                           " of " + config::to_string(config::Size{(*shared)->memory}),
                       "Write a smaller `largest`, or a larger `cache: {memory: …}` in the deployment.");
  const auto stale = stale_fallback(operation);
  if (options.origin) {
    const auto* said = operation.find_extension("cache");
    const bool own = !said || said->scope != "document";
    if (build.services.mock) return nullptr;
    if (!operation.undeclared && !operation.extension("upstream")) {
      if (own && http::is_safe(operation.method))
        return build.wrong("origin", "`cache: origin` follows the headers of an `upstream`, and the operation has none",
                           "Say how long a response is fresh: `cache: 5m`.");
    } else if (operation.undeclared || operation.method == "GET") {
      return origin_cache({.rules = {.heuristic = options.heuristic, .cookies = options.cookies},
                           .obeys = options.obey_requests,
                           .largest = std::min(static_cast<std::size_t>(options.largest.bytes), fits),
                           .when_failing = stale ? kStale : 0},
                          build, std::move(*shared), metrics[0]);
    }
    options.ttl = {};
  }
  if (operation.undeclared) {
    const auto* said = operation.find_extension("cache");
    if (options.ttl.nanoseconds == 0 || !said || said->scope == "document") return nullptr;
    return build.wrong("ttl", "what is not declared is cached as its upstream says, and no other way",
                       "Write `cache: origin`.");
  }
  const std::string_view method = operation.method;
  if (!http::is_safe(method)) {
    if (!build.services.of_plan->of<CachedOperations>(build.contract)->any) return nullptr;
    return std::make_unique<Invalidation>(std::move(*shared));
  }
  if (options.ttl.nanoseconds == 0 || method != "GET") return nullptr;
  if (unverified(build)) return nullptr;
  if (stale && options.stale_if_error.nanoseconds == 0) options.stale_if_error.nanoseconds = kStale;
  return std::make_unique<Cache>(options, build, std::move(*shared));
}

}  // namespace

extern constinit const Part cache = part<Cache>("cache", "Caches responses in memory.");

}  // namespace plimsoll::policy
