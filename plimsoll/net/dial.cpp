#include "plimsoll/net/dial.hpp"

#include "plimsoll/async/descriptor.hpp"
#include "plimsoll/async/loop.hpp"
#include "plimsoll/net/transport.hpp"

#include <netinet/tcp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

namespace plimsoll::net {
namespace {

std::unexpected<Error> cannot(const Address& to, int error) {
  return fail(kNetwork, to.text() + ": " + std::generic_category().message(error));
}

Task<Result<Socket>> connect(Loop& loop, const Address& to, std::uint16_t port) {
  Socket socket{::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket) co_return cannot(to, errno);
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_storage address;
  const auto size = to.write(port, address);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) co_return socket;
  if (errno != EINPROGRESS && errno != EINTR) co_return cannot(to, errno);
  // Watched only now: epoll tells a hang-up of a socket that has not begun to connect.
  Descriptor connecting{loop, socket.release()};
  connecting.write_full();
  const auto woken = co_await connecting.writable(0);
  if (woken == Wake::stopped) {
    const Scope* scope = co_await this_scope();
    co_return std::unexpected(error_of(scope->stopped()));
  }
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(connecting.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error) co_return cannot(to, error);
  co_return Socket{connecting.release()};
}

/// The attempts of one dial, each a line of work with a scope of its own. Resumes when all of them have ended.
class Race final : public Waiting, public Alarm {
 public:
  Race(Loop& loop, const Addresses& to, std::uint16_t port, DialOptions options)
      : loop_(loop), to_(to), port_(port), options_(options), scopes_(std::make_unique<Scope[]>(to.size())) {
    ring = [](Alarm& alarm) {
      auto& race = static_cast<Race&>(alarm);
      race.wanted_ = true;
      race.begin_attempts();
      race.resume_if_over();
    };
  }
  bool await_ready() const noexcept { return to_.empty(); }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    outer_ = parent.promise().scope;
    if (outer_) {
      stopped_ = outer_->stopped();
      outer_->wait_at(*this);
    }
    wanted_ = true;
    begin_attempts();
    if (running_ == 0) return false;
    parent_ = parent;
    return true;
  }
  Result<Socket> await_resume() {
    if (outer_) outer_->go_on();
    disarm();
    if (stopped_ != Stop::none) return std::unexpected(error_of(stopped_));
    if (winner_) return std::move(winner_);
    return std::unexpected(std::move(error_));
  }
  void stop(Stop why) noexcept override {
    stopped_ = why;
    disarm();
    for (std::size_t i = 0; i < begun_; ++i) scopes_[i].stop(why);
  }

 private:
  static Line attempt(Race& race, std::size_t i) {
    auto connected = co_await connect(race.loop_, race.to_[i], race.port_);
    race.ended(std::move(connected));
  }
  /// An attempt may end before this returns: then the next one is begun by the same loop, not by a deeper call.
  void begin_attempts() {
    if (beginning_) return;
    beginning_ = true;
    while (std::exchange(wanted_, false) && !winner_ && stopped_ == Stop::none && begun_ < to_.size()) {
      const auto i = begun_++;
      ++running_;
      if (begun_ < to_.size())
        loop_.wheel().arm(*this, loop_.tick_in(options_.attempt_delay));
      else
        disarm();
      auto line = attempt(*this, i).handle;
      line.promise().scope = &scopes_[i];
      line.resume();
    }
    beginning_ = false;
  }
  void ended(Result<Socket> connected) {
    --running_;
    if (connected) {
      if (!winner_ && stopped_ == Stop::none) {
        winner_ = std::move(*connected);
        disarm();
        for (std::size_t i = 0; i < begun_; ++i) scopes_[i].stop(Stop::lost_race);
      }
    } else {
      if (!winner_) error_ = std::move(connected).error();
      wanted_ = true;
      begin_attempts();
    }
    resume_if_over();
  }
  void resume_if_over() {
    if (running_ == 0 && parent_ && !beginning_) parent_.resume();
  }

  Loop& loop_;
  const Addresses& to_;
  const std::uint16_t port_;
  const DialOptions options_;
  const std::unique_ptr<Scope[]> scopes_;
  std::size_t begun_ = 0, running_ = 0;
  bool wanted_ = false, beginning_ = false;
  Stop stopped_ = Stop::none;
  Scope* outer_ = nullptr;
  std::coroutine_handle<> parent_;
  Socket winner_;
  Error error_{&kNetwork, "no address"};
};

}  // namespace

Addresses interleaved(Addresses addresses) {
  if (addresses.empty()) return addresses;
  Addresses first, other, all;
  for (auto& each : addresses) (each.family() == addresses.front().family() ? first : other).push_back(each);
  for (std::size_t i = 0; i < std::max(first.size(), other.size()); ++i) {
    if (i < first.size()) all.push_back(first[i]);
    if (i < other.size()) all.push_back(other[i]);
  }
  return all;
}

Task<Result<Socket>> dial(Loop& loop, Addresses addresses, std::uint16_t port, DialOptions options) {
  const auto ordered = interleaved(std::move(addresses));
  auto connected = co_await Race{loop, ordered, port, options};
  co_return connected;
}

}  // namespace plimsoll::net
