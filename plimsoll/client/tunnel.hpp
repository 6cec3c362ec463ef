#pragma once

#include "plimsoll/client/call_state.hpp"
#include "plimsoll/client/relay.hpp"
#include "plimsoll/exchange/upgrade.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace plimsoll {
class Context;
}

namespace plimsoll::client {

/// What all tunnels of one operation count in; null: nobody counts.
struct TunnelMetrics {
  telemetry::Gauge* open = nullptr;
  telemetry::Counter *opened = nullptr, *received = nullptr, *sent = nullptr;
};

class Tunnel;

/// The tunnels of one generation that are open: they have no end of their own, and a reload may need theirs. Any
/// thread.
class Tunnels : public std::enable_shared_from_this<Tunnels> {
 public:
  bool empty() const;
  /// Ends all of them, each by its own loop, soon after it returns.
  void end();

 private:
  friend class Tunnel;
  void add(Tunnel& tunnel);
  void remove(Tunnel& tunnel) noexcept;
  void end_of(Loop& loop);
  mutable std::mutex mutex_;
  std::vector<Tunnel*> all_;
};

struct TunnelOptions {
  Nanoseconds idle = 300 * kSecond;  ///< without a byte either way
  Nanoseconds lifetime = 0;          ///< 0: no limit
  TunnelMetrics metrics{};
  std::shared_ptr<Tunnels> all{};  ///< null: nobody ends them together
};

/// The connection of a client and that of a service, once both speak another protocol: it owns that of the service, the
/// edge that of the client. It holds a permit of its own and counts among the calls of its target as long as it lasts.
class Tunnel final : public Upgrade {
 public:
  Tunnel(Loop& loop, Switched service, Permit permit, const TunnelOptions& options);
  ~Tunnel() override;
  Tunnel(const Tunnel&) = delete;
  Task<Ended> run(net::Channel& client, std::string early) override;
  void drain() override;

 private:
  friend class Tunnels;
  void go_away();
  /// It ends before its sides have ended it; by the loop's thread.
  struct Cut : Alarm {
    Scope scope;
    std::string_view why;
  } cut_;
  std::size_t at_ = 0;  ///< in `Tunnels`, where it is listed
  bool listed_ = false, draining_ = false;
  Relay* relay_ = nullptr;  ///< while it runs
  Loop& loop_;
  Switched service_;
  const Permit permit_;
  const TunnelOptions options_;
};

}  // namespace plimsoll::client
