#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/edge/buffers.hpp"
#include "plimsoll/edge/census.hpp"
#include "plimsoll/edge/server.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/net/listener.hpp"
#include "plimsoll/net/tls.hpp"

#include <memory>
#include <string_view>
#include <vector>

namespace plimsoll::edge {

class Connection;

/// What all threads of a server share. Touched when a connection comes or goes, never by a request.
struct Shared {
  Service& service;
  const Limits limits;
  Census census{};
};

/// One I/O thread: its loop, its listeners, its connections, and the memory they use in turn.
class Worker {
 public:
  explicit Worker(Shared& shared);
  ~Worker();

  /// Before `run`: accepts what comes to it; `tls` null: in clear.
  void listen(net::Listener listener, std::shared_ptr<net::TlsContext> tls);
  /// Until drained.
  void run();
  /// By the loop's thread: accepts no more; what is under way has until the limit.
  void drain();
  bool draining() const { return draining_; }

  /// The Date of this second (RFC 9110, section 6.6.1).
  std::string_view date();

  Shared& shared;
  Loop loop;
  Pool<Inbox> inboxes{1024};
  Pool<h1::Outbox> outboxes{1024};
  Pool<Arena> arenas{1024};

 private:
  friend class Connection;
  struct Accepting;
  struct Limit : Alarm {
    Worker* worker = nullptr;
  };
  Task<> accept(Accepting& from);
  void greet(net::Accepted accepted, net::TlsContext* tls);
  std::vector<std::unique_ptr<Accepting>> accepting_;
  Connection* first_ = nullptr;
  bool draining_ = false;
  Limit drain_limit_;
  std::int64_t second_ = -1;
  http::DateText date_{};
};

}  // namespace plimsoll::edge
