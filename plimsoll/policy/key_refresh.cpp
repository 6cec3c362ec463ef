#include "plimsoll/policy/key_refresh.hpp"

#include "plimsoll/client/client.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <chrono>

namespace plimsoll::policy {
namespace {

constexpr std::size_t kMostBytes = 1u << 20;
constexpr Nanoseconds kPatience = 5 * kSecond;

}  // namespace

Result<> KeyRefresh::start() {
  if (auto done = fetch(); !done) return done;
  thread_ = std::thread([this] { work(); });
  return {};
}

void KeyRefresh::stop() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<> KeyRefresh::fetch() {
  const auto& options = verifier_->options();
  const client::Call call{.url = options.jwks,
                          .headers = {{"accept", "application/json"}},
                          .first_byte = kPatience,
                          .total = kPatience,
                          .limit = kMostBytes};
  const auto answer = database::wait_for([&](Loop& loop) -> Task<Result<client::Answer>> {
    client::Client client(loop, {.authorities = options.authorities});
    auto given = co_await client.call(call);
    co_return given;
  });
  const auto failed = [&](std::string why) {
    return fail(kBadKey, "the keys at " + options.jwks + " cannot be had: " + why);
  };
  if (!answer)
    return failed(answer.error().more_ && !answer.error().more_->cause.empty() ? answer.error().more_->cause
                  : answer.error().detail.empty() ? std::string(answer.error().problem->title)
                                                  : answer.error().detail);
  if (answer->status != 200) return failed("it answered " + std::to_string(answer->status));
  Arena arena;
  const auto document = json::parse(answer->body, arena);
  if (!document) return failed(document.error().detail);
  auto set = parse_jwk_set(*document);
  if (!set) return failed(set.error().detail);
  return verifier_->adopt(std::move(*set), clock_.wall());
}

void KeyRefresh::work() {
  constexpr auto kLook = std::chrono::seconds(1);  // how often it is asked whether anything is due
  auto last = clock_.steady();
  bool failing = false;
  for (std::unique_lock lock(mutex_); !changed_.wait_for(lock, kLook, [&] { return stopping_; });) {
    const auto since = clock_.steady() - last;
    const bool due = since >= verifier_->options().refresh.nanoseconds && (!failing || since >= kLeast);
    if (!due && !(since >= kLeast && verifier_->wants_keys())) continue;
    lock.unlock();
    const auto done = fetch();
    last = clock_.steady();
    if (!done && !failing && log_)
      log_->write(telemetry::Level::warning, "keys not refreshed",
                  [&](telemetry::Line& line) { line.add("why", done.error().detail); });
    failing = !done;
    lock.lock();
  }
}

}  // namespace plimsoll::policy
