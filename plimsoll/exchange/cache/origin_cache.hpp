#pragma once

#include "plimsoll/async/single_flight.hpp"
#include "plimsoll/base/clock.hpp"
#include "plimsoll/exchange/cache/cache_store.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/sent_once.hpp"
#include "plimsoll/http/origin_rules.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::telemetry {
class Counter;
struct Label;
}  // namespace plimsoll::telemetry

namespace plimsoll {

/// For which a request waits for another caller's, which may be one that takes longer for what it says.
inline constexpr Nanoseconds kMostWaited = 5 * kSecond;
/// As long as that, and at most half of what is left of its deadline: then it is sent for itself, and can still be
/// answered.
Nanoseconds patience_for_another(const Context& context);
inline constexpr Nanoseconds kFillTime = 30 * kSecond;  ///< of a fill; where it follows an origin, until the head
inline constexpr Nanoseconds kPassing = 10 * kSecond;   ///< for which it is remembered that responses are not stored
/// For the log of one that waited for it in vain.
inline constexpr std::string_view kOfAnother = "the response to another request for the same had not come";
inline constexpr std::size_t kKey = 768;  ///< bytes of a key for which one allocation is enough

/// Where a response came from, as it is counted.
enum class CacheSource : std::uint8_t { hit, stale, miss, collapsed, bypass, validated };
/// Their words in metrics.
inline constexpr std::string_view kCacheSources[] = {"hit", "stale", "miss", "collapsed", "bypass", "validated"};
/// A counter for each of them, or null.
using CacheCounters = std::array<telemetry::Counter*, std::size(kCacheSources)>;
/// Those of `metric` with the label `whose` and `source`.
CacheCounters cache_counters(telemetry::Registry& registry, const Metric& metric, const telemetry::Label& whose);

namespace origin {

/// What those learn who waited for a fill of another.
struct Landed {
  bool failed = false;  ///< no response, or one that says that the origin has failed
  std::optional<Error> error{};
};

/// What caches that follow origins share: their store, and the requests to origins that are in progress.
struct CacheState {
  /// Of so many bytes; `entries`: of responses, however small they are.
  explicit CacheState(std::size_t memory, std::size_t entries = SIZE_MAX)
      : memory(memory), store(memory, 16, entries) {}
  const std::size_t memory;
  CacheStore store;
  SingleFlight<std::shared_ptr<const Landed>> origin_flights;
  std::atomic<std::uint64_t> gathered{0};  ///< bytes of responses of origins that are not whole yet
  ResourceVersions resources;
};

/// How a cache was set up.
struct CacheOptions {
  http::origin::Rules rules{};
  bool obeys = false;                  ///< `no-cache`, `max-age` and `min-fresh` of requests
  std::uint64_t largest = 1u << 20;    ///< bytes of a body
  Nanoseconds when_failing = 0;        ///< for which a stale response comes before a failure, whatever the origin says
  Nanoseconds patience = kFillTime;    ///< until the head of a response
  bool refusals = true;                ///< 401 and 403 are stored; else they refuse this server's credential
  std::string_view name = "plimsoll";  ///< of the cache, in `Cache-Status`
};

/// Where a cache stands: what requests are for there, and what tells them apart.
class Place {
 public:
  virtual ~Place() = default;
  /// Appends what responses are stored under, before `Vary`.
  virtual void put_key(std::string& key, const Request& request, const Context& context) const = 0;
  virtual http::origin::Resource resource(const Request& request) const = 0;
  /// Whether the caller is known, however its request says so: a shared cache keeps its responses to itself then.
  virtual bool is_authorized(const Context& context) const = 0;
  /// Whether the request is for no cache.
  virtual bool passes(const Request& request, Context& context) const = 0;
  virtual bool has_body(const Request& request, const Context& context) const = 0;
  /// Whether the request changes what it is for.
  virtual bool changes(const Request& request, Context& context) const = 0;
  /// The origin has answered an exchange of the cache's own that was begun for a request, or has failed, or takes too
  /// long.
  virtual void answered(const Request& /*sent*/, Context& /*own*/, const Request& /*request*/, Context&) const {}
  /// For the log: what such an exchange waits for, where the one that waited for it does so no longer; empty: unknown.
  virtual std::string awaited(const Context& /*own*/, const Context& /*context*/) const { return {}; }
  /// A stale response is given in place of a failure.
  virtual void given_stale(const Context& /*context*/) const {}
};

/// A cache in front of an origin that speaks for itself (RFC 9111).
std::unique_ptr<Policy> origin_cache(const CacheOptions& options, std::unique_ptr<const Place> place,
                                     std::shared_ptr<CacheState> shared, const CacheCounters& counts,
                                     const Clock& clock);
/// Before an unsafe request is answered: lets services that it is sent to note that it has reached them.
SentOnce& watch_effect(Context& context);
/// Makes what an unsafe request has changed old: once it has succeeded (RFC 9111, section 4.4; RFC 9875), and where it
/// has reached a service and what came of it is not known. `watch_effect` was called before it.
void invalidate(CacheState& shared, const http::origin::Resource& resource, const Result<Response>& answer,
                const Context& context);

}  // namespace origin

}  // namespace plimsoll
