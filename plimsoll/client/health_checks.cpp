#include "plimsoll/client/health_checks.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/client/failure.hpp"
#include "plimsoll/client/random.hpp"
#include "plimsoll/client/targets.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/parse.hpp"

namespace plimsoll::client {
namespace {

constexpr std::size_t kMostBytes = 64 * 1024;

/// Nothing where the answer is 2xx; else why not.
Task<std::string> ask(Service& service, Loop& loop, const std::string& path, const std::string& host) {
  Arena arena;
  Context context(arena, loop, service.services());
  context.scope = co_await this_scope();
  context.started = context.now = loop.now();
  Request request{.method = "GET", .target = path, .headers = Headers{arena}};
  request.authority = host;
  request.headers.add("user-agent", "plimsoll-health-check");
  auto answer = co_await service.call(request, context);
  if (!answer) co_return reason(answer.error());
  const auto status = answer->status;
  const auto body = co_await whole_body(*answer, kMostBytes);  // so that its connection can be used again
  if (!body && body.error().problem != &kAnswerTooLarge) co_return reason(body.error());
  co_return status / 100 == 2 ? std::string{} : "it answered " + std::to_string(status);
}

}  // namespace

Result<> HealthChecks::add(std::shared_ptr<Targets> targets, std::span<const std::string> urls,
                           const ServiceOptions& calls, const std::string& host, const HealthCheckOptions& options) {
  targets->expect_checks();
  Arena arena;
  const auto quiet = json::parse(R"({"metrics":"off","trace":"off"})", arena);
  for (std::size_t i = 0; i < urls.size(); ++i) {
    auto service = Service::make({.name = "health",
                                  .url = urls[i],
                                  .authorities = calls.authorities,
                                  .certificate = calls.certificate,
                                  .key = calls.key,
                                  .timeouts = {.connect = options.timeout,
                                               .first_byte = options.timeout,
                                               .idle = options.timeout,
                                               .total = options.timeout},
                                  .http = calls.http},
                                 {}, quiet ? &*quiet : nullptr);
    if (!service) return std::unexpected(std::move(service).error());
    auto& check = checks_.emplace_back();
    check.targets = targets, check.target = i, check.service = std::move(*service);
    check.host = host, check.options = options;
  }
  return {};
}

Result<> HealthChecks::start() {
  if (checks_.empty()) return {};
  loop_ = std::make_unique<Loop>();
  for (auto& check : checks_) loop_->spawn(check.scope, run(check, *loop_));
  thread_ = std::thread([this] { loop_->run(); });
  return {};
}

void HealthChecks::stop() noexcept {
  if (!thread_.joinable()) return;
  loop_->post([this] {
    for (auto& check : checks_) check.scope.stop(Stop::drain);
  });
  thread_.join();
}

Task<> HealthChecks::run(Check& check, Loop& loop) {
  while (check.scope.stopped() == Stop::none) {
    try {
      const auto why = co_await ask(*check.service, loop, check.options.path, check.host);
      if (check.scope.stopped() != Stop::none) co_return;
      if (const auto well = check.streak.note(check.options, why.empty()))
        check.targets->checked(check.target, *well, why);
    } catch (const std::bad_alloc&) {  // it says nothing about the target
    }
    const auto tenth = static_cast<std::uint64_t>(check.options.every / 10);
    const auto rest = check.options.every - static_cast<Nanoseconds>(tenth) +
                      static_cast<Nanoseconds>(random_bits() % (2 * tenth + 1));
    const bool rested = co_await pause(loop, rest);
    if (!rested) co_return;
  }
}

}  // namespace plimsoll::client
