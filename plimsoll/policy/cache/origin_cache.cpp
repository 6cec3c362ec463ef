#include "plimsoll/base/hash.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/upgrade.hpp"
#include "plimsoll/http/key_text.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/http/websocket.hpp"
#include "plimsoll/policy/cache/cache_key.hpp"
#include "plimsoll/policy/cache/cache_shared.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::policy {
namespace {

/// In front of the upstream of an operation, whose responses are for all callers of it.
class OfOperation final : public origin::Place {
 public:
  explicit OfOperation(const Build& build)
      : upgrades_(offers_websocket(build.operation)),
        always_authorized_(unverified(build)),
        identity_(hash64("origin\n" + build.operation.id + '\n' + build.operation.method + ' ' + build.operation.path +
                         '\n' +
                         std::to_string(build.services.of_plan->of<DocumentIdentity>(*build.contract.root)->hash))) {}

  void put_key(std::string& key, const Request& request, const Context&) const override {
    key.append(reinterpret_cast<const char*>(&identity_), sizeof identity_);
    put_part(key, 's', request.scheme);
    put_authority(key, 'a', request.authority);
    put_part(key, 'p', request.path);
    put_part(key, request.has_query ? 'q' : '-', request.query);
  }
  http::origin::Resource resource(const Request& request) const override { return resource_of(request); }
  bool is_authorized(const Context& context) const override {
    return always_authorized_ || context.principal != nullptr;
  }
  bool passes(const Request& request, Context&) const override {
    return upgrades_ && http::asks_for_websocket(request);
  }

  bool has_body(const Request& request, const Context& context) const override {
    return !context.input.body_text.empty() || (request.body && request.content_length != 0);
  }
  bool changes(const Request& request, Context&) const override { return !http::is_safe(request.method); }
  std::string awaited(const Context& own, const Context& context) const override {
    return client::Service::still_awaited(own, context);
  }

 private:
  const bool upgrades_;  ///< a WebSocket is no answer that could be stored
  const bool always_authorized_;
  const std::uint64_t identity_;
};

}  // namespace

std::unique_ptr<Policy> origin_cache(const origin::CacheOptions& options, const Build& build,
                                     std::shared_ptr<CacheShared> shared, const Metric& metric) {
  CacheCounters counts{};
  if (build.services.metrics)
    counts = cache_counters(*build.services.metrics, metric, {"operation", build.operation.id});
  auto given = options;
  given.rules.any_coding = !build.operation.undeclared;
  return origin::origin_cache(given, std::make_unique<OfOperation>(build), std::move(shared), counts,
                              *build.services.clock);
}

http::origin::Resource resource_of(const Request& request) {
  return {.scheme = request.scheme, .authority = request.authority, .path = request.path};
}

}  // namespace plimsoll::policy
