#pragma once

#include "plimsoll/edge/server.hpp"

#include <cstddef>
#include <memory>
#include <utility>

namespace plimsoll::edge {

/// The service that one thread gives new exchanges to. One that was replaced lives on until its last exchange on this
/// thread is over. Used by its thread alone, so counting costs no more than an addition.
class InForce {
  struct Counted {
    std::shared_ptr<Service> service;
    const bool chooses = service->chooses();
    std::size_t exchanges = 0;
    bool replaced = false;
  };

 public:
  /// Held by an exchange from before its context exists until after it is gone.
  class Hold {
   public:
    explicit Hold(InForce& in_force) noexcept : held_(in_force.current_) { ++held_->exchanges; }
    Hold(const Hold&) = delete;
    ~Hold() {
      if (--held_->exchanges == 0 && held_->replaced) delete held_;
    }
    /// Who answers the request.
    Service& service(const Request& request) const noexcept {
      return held_->chooses ? held_->service->choose(request) : *held_->service;
    }

   private:
    Counted* held_;
  };

  explicit InForce(std::shared_ptr<Service> service) : current_(new Counted{.service = std::move(service)}) {}
  bool offers_websockets() const noexcept { return current_->service->offers_websockets(); }
  InForce(const InForce&) = delete;
  ~InForce() { delete current_; }
  void replace(std::shared_ptr<Service> by) {
    auto* old = std::exchange(current_, new Counted{.service = std::move(by)});
    old->replaced = true;
    if (old->exchanges == 0) delete old;
  }

 private:
  Counted* current_;
};

}  // namespace plimsoll::edge
