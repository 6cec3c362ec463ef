#include "plimsoll/handler/upstream/websockets.hpp"

#include "plimsoll/client/part.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"

namespace plimsoll::handler::forwarding {

Result<std::shared_ptr<const WebSockets>> WebSockets::make(const json::Value& from, std::string_view service,
                                                           const Build& build) {
  WebSocketOptions options;
  if (from.is(json::Type::boolean)) {
    if (!from.boolean()) return nullptr;
  } else if (!from.is(json::Type::object)) {
    return config::wrong(from, "`websocket` is `true`, or an object such as {idle: 5m}");
  } else if (auto done = config::read(from, kWebSocketFields, &options); !done) {
    return std::unexpected(std::move(done).error());
  }
  if (!build.operation.undeclared && build.operation.method != "GET")
    return config::wrong(from, "a WebSocket begins with GET", "Move `websocket` to the GET operation of the path.");
  return std::make_shared<const WebSockets>(options, service, build);
}

WebSockets::WebSockets(const WebSocketOptions& options, std::string_view service, const Build& build)
    : at_most_(options.at_most),
      open_(build.services.shared->of<client::Kept<Open>>()->of(std::string(service) + ' ' + build.operation.id)),
      tunnel_{.idle = options.idle.nanoseconds,
              .lifetime = options.lifetime.nanoseconds,
              .all = build.services.of_generation->of<client::Tunnels>()} {
  auto* registry = build.services.metrics;
  if (!registry) return;
  const telemetry::Label labels[] = {{"service", service}, {"operation", build.operation.id}};
  const auto bytes = [&](std::string_view direction) {
    const telemetry::Label all[] = {labels[0], labels[1], {"direction", direction}};
    return &registry->counter(kWebSocketMetrics[2].name, kWebSocketMetrics[2].sentence, all);
  };
  tunnel_.metrics = {.open = &registry->gauge(kWebSocketMetrics[0].name, kWebSocketMetrics[0].sentence, labels),
                     .opened = &registry->counter(kWebSocketMetrics[1].name, kWebSocketMetrics[1].sentence, labels),
                     .received = bytes("received"),
                     .sent = bytes("sent")};
}

Result<client::Permit> WebSockets::enter(const Request& request, Context& context) const {
  if (auto checked = http::check_websocket(request); !checked) {
    if (checked.error().problem == &http::kWebSocketVersion)
      context.promise("sec-websocket-version", lasting(http::kWebSocketVersionNumber));
    return std::unexpected(std::move(checked).error());
  }
  // A browser opens one from any page and sends the cookies along, whatever CORS says: it asks nobody, and shows all
  // that comes to the page.
  if (request.headers.contains("cookie") && !context.noted<AllowedOrigin>() && is_cross_site(request))
    return fail(kCrossSite, "A WebSocket is opened with cookies from a page of another site.");
  if (open_->fetch_add(1, std::memory_order_relaxed) >= at_most_) {
    open_->fetch_sub(1, std::memory_order_relaxed);
    Error error{&kTooManyWebSockets};
    error.more().retry_after = 5;
    return std::unexpected(std::move(error));
  }
  return client::Permit{open_};
}

}  // namespace plimsoll::handler::forwarding
