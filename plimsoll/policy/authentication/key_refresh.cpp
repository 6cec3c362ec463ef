#include "plimsoll/policy/authentication/key_refresh.hpp"

#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/client/failure.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/http/cache_control.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <algorithm>
#include <chrono>

namespace plimsoll::policy {
namespace {

constexpr std::size_t kMostBytes = 1u << 20;
constexpr Nanoseconds kPatience = 5 * kSecond;

}  // namespace

KeyRefresh::KeyRefresh(std::shared_ptr<TokenVerifier> verifier, std::string_view scheme, const Services& services)
    : verifier_(std::move(verifier)),
      name_(std::string(scheme) + ":keys"),
      shared_(services.shared),
      clock_(*services.clock),
      log_(services.log),
      interval_(verifier_->options().refresh.nanoseconds) {}

Nanoseconds KeyRefresh::interval(Nanoseconds refresh, const Headers& fields, std::int64_t requested,
                                 std::int64_t received) {
  const auto said = http::stored_times(200, fields, requested, received);
  const bool passing = said.control.no_store || said.control.no_cache;
  if (!passing && !said.control.max_age && !said.expires && !said.expires_unreadable) return refresh;
  const auto fresh = passing ? 0 : http::freshness_lifetime(said, false, false) - http::current_age(said, received);
  return std::min(refresh, std::max(std::min(fresh, http::CacheControl::kForever) * kSecond, kLeast));
}

Result<> KeyRefresh::start() {
  if (const auto done = fetch(); !done) failed(done.error(), kSecond);
  thread_ = std::thread([this] { work(); });
  return {};
}

void KeyRefresh::stop() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    if (end_call_) end_call_();
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<> KeyRefresh::fetch() {
  const auto& options = verifier_->options();
  Services services;
  services.shared = shared_;
  auto service = client::Service::make({.name = name_,
                                        .url = options.jwks,
                                        .authorities = options.authorities,
                                        .timeouts = {.first_byte = kPatience, .idle = kPatience, .total = kPatience}},
                                       services);
  const client::Call call{.headers = {{"accept", "application/json"}}, .limit = kMostBytes};
  const auto requested = clock_.wall() / kSecond;
  Result<client::Answer> answer = fail(client::kUnreachable);
  if (service)
    answer = run_call(**service, call);
  else
    answer = std::unexpected(std::move(service).error());
  const auto failed = [&](std::string why) {
    return fail(kBadKey, "the keys at " + options.jwks + " cannot be had: " + why);
  };
  if (!answer) return failed(client::reason(answer.error()));
  if (answer->status != 200) return failed("it answered " + std::to_string(answer->status));
  Arena arena;
  const auto document = json::parse(answer->body, arena);
  if (!document) return failed(document.error().detail);
  auto set = parse_jwk_set(*document);
  if (!set) return failed(set.error().detail);
  if (auto adopted = verifier_->adopt(std::move(*set), clock_.wall()); !adopted) return adopted;
  Headers fields{arena};
  for (const auto& [name, value] : answer->headers) fields.add(lasting(name), lasting(value));
  interval_ = interval(options.refresh.nanoseconds, fields, requested, clock_.wall() / kSecond);
  return {};
}

/// On a loop of its own, which `stop` can end.
Result<client::Answer> KeyRefresh::run_call(client::Service& service, const client::Call& call) {
  Loop loop;
  Scope scope;
  Result<client::Answer> answer = fail(kInternal);
  const auto work = [&]() -> Task<> {
    auto fetched = co_await client::fetch(service, loop, call);
    answer = std::move(fetched);
  };
  {
    const std::scoped_lock lock(mutex_);
    if (stopping_) return std::unexpected(error_of(Stop::drain));
    loop.spawn(scope, work());
    end_call_ = [&] { loop.post([&] { scope.stop(Stop::drain); }); };
  }
  loop.run();
  const std::scoped_lock lock(mutex_);
  end_call_ = nullptr;
  return answer;
}

Result<> KeyRefresh::fetch_or_wait() {
  try {
    return fetch();
  } catch (const std::bad_alloc&) {
    rest_of_memory();
    return plimsoll::fail(kOutOfMemory);
  }
}

std::string_view KeyRefresh::lacks() const noexcept {
  return verifier_->lacks_keys() ? "the keys that verify tokens" : std::string_view{};
}

void KeyRefresh::failed(const Error& why, Nanoseconds again) {
  if (!log_) return;
  const bool none = verifier_->lacks_keys();
  log_->write(none ? telemetry::Level::error : telemetry::Level::warning,
              none ? "no keys to verify tokens" : "keys not refreshed", [&](telemetry::Line& line) {
                line.add("why", why.detail);
                if (none) line.add("effect", "tokens are answered with 503, and the server is not ready");
                if (none) line.add("again_in_s", again / kSecond);
              });
}

void KeyRefresh::work() {
  constexpr auto kLook = std::chrono::seconds(1);  // how often it is asked whether anything is due
  auto last = clock_.steady();
  bool failing = false;
  Nanoseconds patience = kSecond;  // while there are no keys at all
  for (std::unique_lock lock(mutex_); !changed_.wait_for(lock, kLook, [&] { return stopping_; });) {
    const auto since = clock_.steady() - last;
    const bool none = verifier_->lacks_keys();
    const bool due = none ? since >= patience : since >= interval_ && (!failing || since >= kLeast);
    if (!due && (none || since < kLeast || !verifier_->wants_keys())) continue;
    lock.unlock();
    const auto done = fetch_or_wait();
    lock.lock();
    if (stopping_) return;
    lock.unlock();
    last = clock_.steady();
    if (none) patience = std::min(2 * patience, kLeast);
    if (!done && (none || !failing)) failed(done.error(), patience);
    if (done && none && log_) log_->write(telemetry::Level::info, "keys-available");
    failing = !done;
    lock.lock();
  }
}

}  // namespace plimsoll::policy
