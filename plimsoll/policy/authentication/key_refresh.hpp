#pragma once

#include "plimsoll/exchange/background.hpp"
#include "plimsoll/exchange/services.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/policy/authentication/token_verifier.hpp"

#include <condition_variable>
#include <functional>
#include <thread>

namespace plimsoll::telemetry {
class Log;
}
namespace plimsoll::client {
class Service;
struct Answer;
struct Call;
}  // namespace plimsoll::client

namespace plimsoll::policy {

/// Fetches a verifier's keys from their URL: once before the first request, then every `refresh`, or sooner where the
/// response says so, and when a token named a key that is not known, but for these two at most every 30 s. It has a
/// thread of its own, so that no request waits. When the issuer cannot be reached the keys at hand stay in force. Where
/// none are at hand yet, because it was down when this process began, it is asked again after 1 s, 2 s, 4 s … 30 s;
/// until it answers the server is not ready, and tokens are answered with 503.
class KeyRefresh final : public Background {
 public:
  /// `scheme`: whose keys these are.
  KeyRefresh(std::shared_ptr<TokenVerifier> verifier, std::string_view scheme, const Services& services);
  ~KeyRefresh() override { stop(); }
  Result<> start() override;
  void stop() noexcept override;
  std::string_view lacks() const noexcept override;

  /// After what time keys are fetched again that came with these fields: `refresh`, or how long the response is fresh
  /// by its own word (RFC 9111, section 4.2.1) where that is shorter, but not less than 30 s. `requested` and
  /// `received`: Unix seconds.
  static Nanoseconds interval(Nanoseconds refresh, const Headers& fields, std::int64_t requested,
                              std::int64_t received);

 private:
  /// Between fetches for an unknown key, for what a response says, or after a failed one.
  static constexpr Nanoseconds kLeast = 30 * kSecond;
  Result<> fetch();
  /// The same; where memory fails, an error after a moment.
  Result<> fetch_or_wait();
  Result<client::Answer> run_call(client::Service& service, const client::Call& call);
  void failed(const Error& why, Nanoseconds again);
  void work();

  std::shared_ptr<TokenVerifier> verifier_;
  const std::string name_;          ///< of the fetches: `login:keys`
  std::shared_ptr<Shared> shared_;  ///< of the process
  const Clock& clock_;
  telemetry::Log* log_;
  Nanoseconds interval_;  ///< of fetches; of the thread, once it has begun
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::function<void()> end_call_;  ///< of the fetch under way; under the mutex
  std::thread thread_;
};

}  // namespace plimsoll::policy
