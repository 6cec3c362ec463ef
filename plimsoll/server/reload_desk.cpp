#include "plimsoll/server/reload_desk.hpp"

#include "plimsoll/async/blocking.hpp"
#include "plimsoll/exchange/context.hpp"

#include <atomic>
#include <condition_variable>
#include <utility>

namespace plimsoll::server {

struct ReloadDesk::State {
  mutable std::mutex mutex;
  std::condition_variable answered;
  std::function<void()> wake;
  std::atomic<std::uint64_t> asked{0}, served{0};  ///< how often; `served`: how many of them have an answer
  ReloadAnswer answer;                             ///< of the last that was served
};

ReloadDesk::ReloadDesk() : state_(std::make_unique<State>()) {}
ReloadDesk::~ReloadDesk() = default;

void ReloadDesk::on_ask(std::function<void()> wake) {
  const std::scoped_lock lock(state_->mutex);
  state_->wake = std::move(wake);
}

bool ReloadDesk::asked() const noexcept { return state_->asked > state_->served; }

void ReloadDesk::ask() {
  const std::scoped_lock lock(state_->mutex);
  if (!state_->wake) return;
  ++state_->asked;
  state_->wake();
}

Result<ReloadAnswer> ReloadDesk::ask(Nanoseconds patience) {
  std::unique_lock lock(state_->mutex);
  if (!state_->wake) return fail(kReloadUnanswered, "the server is still starting, or it ends");
  // One that is under way may have read the files already: who asks now waits for the next.
  const std::uint64_t mine = ++state_->asked;
  state_->wake();
  if (!state_->answered.wait_for(lock, std::chrono::nanoseconds(patience), [&] { return state_->served >= mine; }))
    return fail(kReloadUnanswered);
  return state_->answer;
}

void ReloadDesk::serve(const std::function<ReloadAnswer()>& reload) {
  const std::uint64_t those = state_->asked;
  auto answer = reload();
  {
    const std::scoped_lock lock(state_->mutex);
    state_->served = those;
    state_->answer = std::move(answer);
  }
  state_->answered.notify_all();
}

namespace {

class Reload final : public Handler {
 public:
  explicit Reload(ReloadDesk& desk) : desk_(desk) {}
  Task<Result<Response>> handle(Request& request, Context& context) override {
    // Pages of browsers have no business here, not even those that a name leads to this address.
    if (request.headers.contains("origin"))
      co_return fail(kNotReloaded, "a request from a web page cannot reload the contract");
    constexpr auto kPatience = 60 * kSecond;
    auto answer = co_await blocking(context.loop, *context.services.threads, [&] { return desk_.ask(kPatience); });
    if (!answer) co_return std::unexpected(std::move(answer).error());
    if (!answer->done) co_return fail(kNotReloaded, std::move(answer->text));
    Response response{.status = 200, .headers = Headers{context.arena}, .body = context.kept(answer->text)};
    response.headers.add("content-type", "application/json");
    response.headers.add("cache-control", "no-store");
    co_return response;
  }

 private:
  ReloadDesk& desk_;
};

}  // namespace

std::unique_ptr<Handler> reload_page(ReloadDesk& desk) { return std::make_unique<Reload>(desk); }

}  // namespace plimsoll::server
