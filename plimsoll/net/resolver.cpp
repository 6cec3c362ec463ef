#include "plimsoll/net/resolver.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/base/out_of_memory.hpp"

#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

namespace plimsoll::net {
namespace {

constexpr std::size_t kLongestName = 253;  // RFC 1035, section 2.3.4, as text
constexpr std::size_t kMostAddresses = 32;

class Threaded final : public Resolver {
 public:
  Threaded(ResolverOptions options, Lookup lookup, const Clock& clock)
      : state_(std::make_shared<State>(options, std::move(lookup), clock)) {}

 protected:
  Task<Result<Addresses>> look_up(Loop& loop, std::string host) override {
    const auto state = state_;
    auto found = co_await Wait{*state, loop, host};
    co_return found;
  }

 private:
  struct State;
  class Wait;

  struct Entry {
    enum class Phase : std::uint8_t { queued, running, done } phase = Phase::queued;
    const std::string* host = nullptr;
    Result<Addresses> result{};
    Nanoseconds until = 0;  ///< when the result is too old
    Nanoseconds used = 0;
    Wait* waiters = nullptr;
  };

  /// Shared with the threads, which may outlive the resolver.
  struct State : std::enable_shared_from_this<State> {
    State(ResolverOptions o, Lookup l, const Clock& c) : options(o), lookup(std::move(l)), clock(c) {}

    const ResolverOptions options;
    const Lookup lookup;
    const Clock& clock;
    std::mutex mutex;
    std::map<std::string, Entry, std::less<>> entries;
    std::deque<Entry*> queue;
    unsigned threads = 0;
    std::size_t unfinished = 0;  ///< entries that are queued or running

    /// True when `wait` has to wait; otherwise its result is there.
    bool enter(Wait& wait, const std::string& host);
    void leave(Wait& wait) noexcept;
    /// A name that nobody waits for any more gives up its place in the queue.
    void forget_if_unwanted(Entry& entry) noexcept;

   private:
    void make_room();
    bool start_thread(Entry& entry);
    void work();
    Result<Addresses> answer(const std::string& host);
    static void deliver(Wait& waiter, const Result<Addresses>& result);
  };

  /// One caller. Linked into its entry until the result is delivered or it leaves, whichever comes first; both happen
  /// under the mutex, so that its loop is never touched after it has left.
  class Wait final : public Waiting, public Deferred {
   public:
    Wait(State& state, Loop& loop, const std::string& host) : state_(state), loop_(loop), host_(host) {}
    bool await_ready() const noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> waiting) {
      scope_ = waiting.promise().scope;
      if (scope_ && scope_->stopped() != Stop::none) {
        result_ = std::unexpected(error_of(scope_->stopped()));
        return false;
      }
      waiting_ = waiting;
      if (!state_.enter(*this, host_)) return false;
      if (scope_) scope_->wait_at(*this);
      return true;
    }
    Result<Addresses> await_resume() { return std::move(result_); }

    void stop(Stop why) noexcept override {
      {
        const std::scoped_lock lock(state_.mutex);
        if (!entry_) return;  // the result is on its way
        auto& entry = *entry_;
        state_.leave(*this);
        state_.forget_if_unwanted(entry);
      }
      result_ = std::unexpected(error_of(why));
      run = [](Deferred& self) { static_cast<Wait&>(self).resume(); };
      loop_.defer(*this);
    }

   private:
    friend struct State;
    void resume() {
      if (scope_) scope_->go_on();
      waiting_.resume();
    }
    State& state_;
    Loop& loop_;
    const std::string& host_;
    Scope* scope_ = nullptr;
    std::coroutine_handle<> waiting_;
    Result<Addresses> result_{};
    Entry* entry_ = nullptr;
    Wait *next_ = nullptr, *previous_ = nullptr;
  };

  std::shared_ptr<State> state_;
};

bool Threaded::State::enter(Wait& wait, const std::string& host) {
  const std::scoped_lock lock(mutex);
  const auto now = clock.steady();
  auto found = entries.find(host);
  if (found != entries.end() && found->second.phase == Entry::Phase::done) {
    if (now < found->second.until) {
      found->second.used = now;
      wait.result_ = found->second.result;
      return false;
    }
    entries.erase(found);
    found = entries.end();
  }
  if (found == entries.end()) {
    if (unfinished >= options.threads + options.waiting) {
      wait.result_ = fail(kNameNotResolved, "too many names wait to be looked up");
      return false;
    }
    make_room();
    found = entries.try_emplace(host).first;
    found->second.host = &found->first;
    if (!start_thread(found->second)) {
      entries.erase(found);
      wait.result_ = fail(kNameNotResolved, "no thread could be started to look the name up");
      return false;
    }
  }
  auto& entry = found->second;
  entry.used = now;
  wait.entry_ = &entry;
  wait.next_ = entry.waiters;
  if (wait.next_) wait.next_->previous_ = &wait;
  entry.waiters = &wait;
  return true;
}

void Threaded::State::leave(Wait& wait) noexcept {
  if (wait.next_) wait.next_->previous_ = wait.previous_;
  (wait.previous_ ? wait.previous_->next_ : wait.entry_->waiters) = wait.next_;
  wait.next_ = wait.previous_ = nullptr;
  wait.entry_ = nullptr;
}

void Threaded::State::forget_if_unwanted(Entry& entry) noexcept {
  if (entry.waiters || entry.phase != Entry::Phase::queued) return;
  std::erase(queue, &entry);
  --unfinished;
  entries.erase(entries.find(*entry.host));
}

/// For one more entry: results that are too old go first, then the one that was not asked for the longest. Names that
/// are being looked up stay; they are few.
void Threaded::State::make_room() {
  if (entries.size() < options.names) return;
  const auto now = clock.steady();
  const auto is_done = [](const Entry& entry) { return entry.phase == Entry::Phase::done; };
  std::erase_if(entries, [&](const auto& each) { return is_done(each.second) && now >= each.second.until; });
  while (entries.size() >= options.names) {
    auto oldest = entries.end();
    for (auto at = entries.begin(); at != entries.end(); ++at)
      if (is_done(at->second) && (oldest == entries.end() || at->second.used < oldest->second.used)) oldest = at;
    if (oldest == entries.end()) return;
    entries.erase(oldest);
  }
}

/// Never throws: where there is no memory, that is the answer.
Result<Addresses> Threaded::State::answer(const std::string& host) {
  try {
    auto found = lookup(host);
    if (found && found->empty()) return fail(kNameNotResolved, host + " has no address");
    if (found && found->size() > kMostAddresses) found->resize(kMostAddresses);
    return found;
  } catch (...) { return std::unexpected(error_from_current_exception()); }
}

void Threaded::State::deliver(Wait& waiter, const Result<Addresses>& result) {
  try {
    waiter.result_ = result;
  } catch (const std::bad_alloc&) { waiter.result_ = fail(kOutOfMemory); }
  for (;;) try {
      return waiter.loop_.post([&waiter] { waiter.resume(); });
    } catch (const std::bad_alloc&) { rest_of_memory(); }  // who waits is never lost
}

/// Queues the name and sees to it that somebody takes it.
bool Threaded::State::start_thread(Entry& entry) {
  try {
    queue.push_back(&entry);
  } catch (const std::bad_alloc&) { return false; }
  ++unfinished;
  if (threads == options.threads) return true;
  try {
    std::thread([self = shared_from_this()] { self->work(); }).detach();
    ++threads;
  } catch (const std::exception&) {  // no thread, or no memory for one
    if (threads > 0) return true;
    queue.pop_back();
    --unfinished;
    return false;
  }
  return true;
}

void Threaded::State::work() {
  std::unique_lock lock(mutex);
  while (!queue.empty()) {
    auto& entry = *queue.front();
    queue.pop_front();
    entry.phase = Entry::Phase::running;
    lock.unlock();
    auto found = answer(*entry.host);  // the entry and its name stay while it is looked up
    lock.lock();
    entry.phase = Entry::Phase::done;
    --unfinished;
    entry.until = clock.steady() + (found ? options.ttl : options.negative_ttl);
    entry.result = std::move(found);
    while (auto* waiter = entry.waiters) {
      leave(*waiter);
      deliver(*waiter, entry.result);
    }
  }
  --threads;
}

}  // namespace

Address Address::v4(const in_addr& address) {
  Address made;
  made.family_ = AF_INET;
  std::memcpy(made.bytes_.data(), &address, sizeof address);
  return made;
}

Address Address::v6(const in6_addr& address, std::uint32_t scope) {
  Address made;
  made.family_ = AF_INET6;
  made.scope_ = scope;
  std::memcpy(made.bytes_.data(), &address, sizeof address);
  return made;
}

std::optional<Address> Address::parse(std::string_view text) {
  const std::string terminated(text);
  if (in_addr four{}; ::inet_pton(AF_INET, terminated.c_str(), &four) == 1 && terminated.size() == text.size())
    return v4(four);
  if (in6_addr six{}; ::inet_pton(AF_INET6, terminated.c_str(), &six) == 1) return v6(six);
  return std::nullopt;
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  const auto address = Address::parse(host);
  return address && (host == "::1" || (address->family() == AF_INET && host.starts_with("127.")));
}

socklen_t Address::write(std::uint16_t port, sockaddr_storage& out) const noexcept {
  out = {};
  if (family_ == AF_INET) {
    auto& four = reinterpret_cast<sockaddr_in&>(out);
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
    std::memcpy(&four.sin_addr, bytes_.data(), sizeof four.sin_addr);
    return sizeof four;
  }
  auto& six = reinterpret_cast<sockaddr_in6&>(out);
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  six.sin6_scope_id = scope_;
  std::memcpy(&six.sin6_addr, bytes_.data(), sizeof six.sin6_addr);
  return sizeof six;
}

std::string Address::text() const {
  char text[INET6_ADDRSTRLEN] = {};
  return ::inet_ntop(family_, bytes_.data(), text, sizeof text) ? text : "";
}

Task<Result<Addresses>> Resolver::resolve(Loop& loop, std::string host) {
  if (const auto literal = Address::parse(host)) co_return Addresses{*literal};
  if (host.empty() || host.size() > kLongestName || host.contains('\0'))
    co_return fail(kNameNotResolved, "no name of a host");
  host = lowered(host);
  if (host == "localhost" || host.ends_with(".localhost"))
    co_return Addresses{Address::v6(in6addr_loopback), Address::v4({htonl(INADDR_LOOPBACK)})};
  auto found = co_await look_up(loop, std::move(host));
  co_return found;
}

Result<Addresses> system_lookup(const std::string& host) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &wanted, &first))
    return fail(kNameNotResolved, host + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(first, ::freeaddrinfo);
  Addresses found;
  for (const auto* each = first; each; each = each->ai_next) {
    if (each->ai_family == AF_INET) {
      found.push_back(Address::v4(reinterpret_cast<const sockaddr_in*>(each->ai_addr)->sin_addr));
    } else if (each->ai_family == AF_INET6) {
      const auto& six = *reinterpret_cast<const sockaddr_in6*>(each->ai_addr);
      found.push_back(Address::v6(six.sin6_addr, six.sin6_scope_id));
    }
  }
  return found;
}

std::shared_ptr<Resolver> threaded_resolver(ResolverOptions options, Lookup lookup, const Clock& clock) {
  return std::make_shared<Threaded>(options, std::move(lookup), clock);
}

const std::shared_ptr<Resolver>& system_resolver() {
  // Never destroyed: its threads may still run when the process ends.
  static const auto& resolver = *new std::shared_ptr<Resolver>(threaded_resolver());
  return resolver;
}

}  // namespace plimsoll::net
