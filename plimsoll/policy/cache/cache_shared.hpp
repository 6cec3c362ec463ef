#pragma once

#include "plimsoll/async/single_flight.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/policy/cache/cache_fill.hpp"
#include "plimsoll/policy/cache/cache_store.hpp"

#include <atomic>
#include <memory>
#include <optional>

namespace plimsoll::policy {

namespace origin {

/// What those learn who waited for a fill of another.
struct Landed {
  bool failed = false;  ///< no response, or one that says that the origin has failed
  std::optional<Error> error{};
};

}  // namespace origin

/// What all cached operations of a process share.
struct CacheShared {
  explicit CacheShared(std::size_t memory) : memory(memory), store(memory) {}
  const std::size_t memory;
  CacheStore store;
  SingleFlight<std::shared_ptr<const Fetched>> flights;
  SingleFlight<std::shared_ptr<const origin::Landed>> origin_flights;
  std::atomic<std::uint64_t> gathered{0};  ///< bytes of responses of origins that are not whole yet
  ResourceVersions resources;
};

/// For which a request waits for another caller's, which may be one that takes longer for what it says.
inline constexpr Nanoseconds kMostWaited = 5 * kSecond;
inline constexpr Nanoseconds kFillTime = 30 * kSecond;  ///< of a fill; where it follows an origin, until the head
inline constexpr Nanoseconds kPassing = 10 * kSecond;   ///< for which it is remembered that responses are not stored
inline constexpr std::size_t kKey = 768;                ///< bytes of a key for which one allocation is enough

/// Where a response came from, as it is counted.
enum class CacheSource : std::uint8_t { hit, stale, miss, collapsed, bypass, validated };
inline constexpr std::string_view kCacheSources[] = {"hit", "stale", "miss", "collapsed", "bypass", "validated"};

/// What a cache that follows the origin's headers is told by the contract.
struct OriginOptions {
  bool heuristic = false, cookies = true, obeys = false;
  std::uint64_t largest = 1u << 20;  ///< bytes of a body
  Nanoseconds when_failing = 0;      ///< for which a stale response comes before a failure, whatever the origin says
};

/// `cache: origin`: for one operation, or for all that is not declared.
std::unique_ptr<Policy> origin_cache(const OriginOptions& options, const Build& build,
                                     std::shared_ptr<CacheShared> shared, const Metric& metric,
                                     const Problem& not_cached);
/// Whether `cache: origin` is in force for the operation: its responses are the origin's, validators and all.
bool follows_origin(const contract::Operation& operation);
/// Whether the operation demands credentials that nobody verifies (`plimsoll mock`, `authentication: off`): then nobody
/// can say whose response it is, and it is nobody else's.
bool unverified(const Build& build);
/// Makes what an unsafe request has changed old, now that it has succeeded (RFC 9111, section 4.4; RFC 9875).
void invalidate(CacheShared& shared, const Request& request, const Response& answer);

}  // namespace plimsoll::policy
