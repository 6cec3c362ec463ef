#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/base/spares.hpp"
#include "plimsoll/edge/buffers.hpp"
#include "plimsoll/edge/connection_counts.hpp"
#include "plimsoll/edge/in_force.hpp"
#include "plimsoll/edge/ready_queue.hpp"
#include "plimsoll/edge/rejections.hpp"
#include "plimsoll/edge/server.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/http/proxies.hpp"
#include "plimsoll/net/listener.hpp"
#include "plimsoll/net/tls.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace plimsoll::telemetry {
class Log;
}

namespace plimsoll::edge {

class Connection;

/// Of one listener: whom it believes, and about what.
struct Trust {
  Networks networks;
  bool forwarded = false;  ///< the Forwarded field, else X-Forwarded-For
  bool protocol = false;   ///< connections of trusted peers begin with a PROXY header
};

/// What all threads of a server share. Touched when a connection comes or goes, never by a request.
struct Shared {
  std::shared_ptr<Service> first;  ///< that the workers begin with
  const Limits limits;
  telemetry::Log* log = first->services().log;
  std::shared_ptr<BodyMemory> bodies = first->services().shared->of<BodyMemory>();
  ConnectionCounts connection_counts{};
  WaitingEverywhere waiting{};
  Rejections rejections{first->services()};
};

/// One I/O thread: its loop, its listeners, its connections, and the memory they use in turn.
class Worker {
 public:
  explicit Worker(Shared& shared);
  ~Worker();

  /// Before `run`, or by the loop's thread: accepts what comes to it; `tls` null: in clear. `number` names it for
  /// `close`.
  void listen(net::Listener listener, std::shared_ptr<net::TlsContext> tls, std::shared_ptr<const Trust> trust,
              std::uint64_t number);
  /// By the loop's thread: accepts no more from that listener. Its connections end with what is under way on them,
  /// within the time of a drain.
  void close(std::uint64_t number);
  /// Until drained.
  void run();
  /// By the loop's thread: accepts no more; what is under way has until the limit.
  void drain();
  /// By the loop's thread, after `drain`: what is under way ends now.
  void cut();
  /// By the loop's thread: exchanges that begin from now on are given to this one.
  void serve(std::shared_ptr<Service> service) { in_force.replace(std::move(service)); }
  bool draining() const { return draining_; }

  /// Says at most once a minute that somebody claims to be a proxy who is none.
  void warn_of_claim(std::string_view address, std::string_view what);

  std::unique_ptr<Inbox> take_inbox() {
    const auto& limits = shared.limits;
    return inboxes_.take(
        h1::HeadLimits{limits.head.bytes, limits.target.bytes, static_cast<std::size_t>(limits.header_count)});
  }
  /// Emptied; one that had to grow is not kept.
  void give_inbox(std::unique_ptr<Inbox> inbox) noexcept {
    if (!inbox->usual()) return;
    inbox->used(inbox->unread().size());
    inbox->head.reset();
    inboxes_.give(std::move(inbox));
  }

  /// The Date of this second (RFC 9110, section 6.6.1).
  std::string_view date();

  Shared& shared;
  InForce in_force{shared.first};
  Loop loop;
  ReadyQueue ready{loop, shared.waiting};
  Spares<h1::Outbox> outboxes{1024};
  Spares<Arena> arenas{1024};

 private:
  friend class Connection;
  struct Limit : Alarm {
    Worker* worker = nullptr;
  };
  /// A listener, until the last of its connections has ended.
  struct Accepting {
    Accepting(Loop& loop, net::Listener from, std::shared_ptr<net::TlsContext> with, std::shared_ptr<const Trust> whom,
              std::uint64_t number)
        : number(number),
          divided(!from.undivided()),
          descriptor(std::make_unique<Descriptor>(loop, from.release())),
          tls(std::move(with)),
          trust(std::move(whom)) {}
    struct Limit : Alarm {
      Worker* worker = nullptr;
      Accepting* of = nullptr;
    };
    const std::uint64_t number;
    const bool divided;                      ///< a socket of this thread alone
    std::unique_ptr<Descriptor> descriptor;  ///< null: it accepts no more
    std::shared_ptr<net::TlsContext> tls;
    std::shared_ptr<const Trust> trust;
    std::size_t connections = 0;  ///< open
    bool closing = false;
    Limit end_, cut_;
    Scope scope;
  };
  Task<> accept(Accepting& from);
  void greet(net::Accepted accepted, Accepting& by) noexcept;
  void close(Accepting& one);
  /// Soon forgets listeners that are closed and have no connection left.
  void forget_closed() noexcept;
  std::vector<std::unique_ptr<Accepting>> accepting_;
  Connection* first_ = nullptr;
  Spares<Inbox> inboxes_{1024};
  bool draining_ = false;
  Limit drain_limit_, close_listeners_;
  Nanoseconds warned_ = 0;
  std::int64_t second_ = -1;
  http::DateText date_{};
};

}  // namespace plimsoll::edge
