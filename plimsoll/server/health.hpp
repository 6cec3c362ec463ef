#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/exchange/services.hpp"

#include <atomic>
#include <memory>
#include <string_view>

namespace plimsoll::server {

/// Liveness, readiness, and what each dependency says. A process that drains is alive and not ready.
class Health {
 public:
  enum class Kind : std::uint8_t { health, ready, live };
  static std::string_view path(Kind kind);

  void watch(const Services& services) { services_ = &services; }
  void draining() { draining_.store(true, std::memory_order_relaxed); }
  std::unique_ptr<Handler> handler(Kind kind);

 private:
  class Answer;
  const Services* services_ = nullptr;
  std::atomic<bool> draining_{false};
};

/// `/metrics` in the Prometheus text format.
std::unique_ptr<Handler> metrics_page();

/// A contract without operations: what a listener serves that has only pages.
std::shared_ptr<const contract::Contract> empty_contract();

}  // namespace plimsoll::server
