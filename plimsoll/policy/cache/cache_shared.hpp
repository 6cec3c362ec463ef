#pragma once

#include "plimsoll/async/single_flight.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/cache/origin_cache.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/policy/cache/cache_fill.hpp"

#include <memory>

namespace plimsoll::policy {

/// What all cached operations of a process share.
struct CacheShared : origin::CacheState {
  using origin::CacheState::CacheState;
  SingleFlight<std::shared_ptr<const Fetched>> flights;
};

/// `cache: origin`: for one operation, or for all that is not declared.
std::unique_ptr<Policy> origin_cache(const origin::CacheOptions& options, const Build& build,
                                     std::shared_ptr<CacheShared> shared, const Metric& metric);
/// Whether `cache: origin` is in force for the operation: its responses are the origin's, validators and all.
bool follows_origin(const contract::Operation& operation);
/// Whether the operation demands credentials that nobody verifies (`plimsoll mock`, `authentication: off`): then nobody
/// can say whose response it is, and it is nobody else's.
bool unverified(const Build& build);
/// What a request to an operation is for.
http::origin::Resource resource_of(const Request& request);

}  // namespace plimsoll::policy
