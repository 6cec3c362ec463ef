#pragma once

#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::telemetry {
class Registry;
}

namespace plimsoll {

class Unit;     // exchange/unit.hpp
class Loop;     // async/loop.hpp
struct Build;   // exchange/part.hpp
class Context;  // exchange/context.hpp

/// What of the caller an answer depends on, beyond whether the caller was let in: what a cached answer is keyed by.
struct Audience {
  bool subject = true, tenant = true;
  bool grants = true;  ///< scopes and roles
  bool claims = true;  ///< any other claim of the token
};

/// Answers an operation.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual Task<Result<Response>> handle(Request&, Context&) = 0;
  /// Everything, unless the handler knows better (`table`: what its owner and tenant conditions read).
  virtual Audience audience() const noexcept { return {}; }
  /// Of a handler of the program, which serves every plan: the handler of this plan's operation, which may refer to
  /// this one; null where it is this one. A sentence in `mistakes` for all that the handler takes for granted and the
  /// contract or the deployment says otherwise; any refuses the start.
  virtual std::unique_ptr<Handler> bind(const Build& build, std::vector<std::string>& mistakes);
};

class Check;
class Policy;
/// One place of an operation's chain: exactly one of the three.
struct Link {
  Check* check = nullptr;
  Policy* policy = nullptr;
  Handler* handler = nullptr;
};

/// What stands behind a policy: one pointer into the operation's chain. May be called again (a retry), and copied.
class Next {
 public:
  explicit Next(const Link* link) : link_(link) {}
  PLIMSOLL_KEEPS_NOTHING Task<Result<Response>> operator()(Request&, Context&) const noexcept;

 private:
  const Link* link_;
};

/// When there is too much to do: which of the requests that are ready is begun first, and which are refused.
enum class Importance : std::uint8_t {
  first,      ///< health, metrics, documents of the server: before all else, never refused
  unbounded,  ///< an operation of which the contract says that it is never refused for load
  critical,   ///< of those that may be refused, the last to be
  normal,
  sheddable,  ///< refused first
};

enum class Mode : std::uint8_t { off, shadow, enforce };

/// Something that is done around an operation.
class Policy {
 public:
  virtual ~Policy() = default;
  /// Answers itself, or hands on to `next`. When nothing is done with the answer, `return next(request, context)`
  /// without being a coroutine; the function is then marked PLIMSOLL_FORWARDS.
  virtual Task<Result<Response>> apply(Request&, Context&, Next) = 0;
  virtual Check* as_check() noexcept { return nullptr; }
  /// Of a policy that refuses for load: how early it does. `unbounded`: it does not.
  virtual Importance importance() const noexcept { return Importance::unbounded; }
  Link link() noexcept {
    if (auto* check = as_check()) return {.check = check};
    return {.policy = this};
  }
  std::string_view name() const noexcept { return name_; }
  Mode mode() const noexcept { return mode_; }
  /// Puts its name to a refusal that every mode obeys, and counts it: what cannot be let pass at all, or what came of
  /// the policy elsewhere (a deadline that passed while somebody waited).
  void answers_for(Error&) const noexcept;

 protected:
  /// Counts and logs the refusal, and says whether it is to be obeyed (`enforce`) or only seen (`shadow`).
  bool refuses(Context&, Error&) const noexcept;

 private:
  friend class Next;
  friend struct Part;
  class Decisions;
  void count(std::span<const Problem* const> problems, telemetry::Registry& registry, std::string_view operation);
  std::string_view name_;
  Mode mode_ = Mode::enforce;
  std::shared_ptr<Decisions> decisions_;
};

/// A policy that only looks ahead: passes, or refuses with a problem. `mode` is obeyed here, once for all of them.
class Check : public Policy {
 public:
  virtual Result<> check(Request&, Context&) = 0;
  Check* as_check() noexcept final { return this; }
  PLIMSOLL_FORWARDS Task<Result<Response>> apply(Request&, Context&, Next) final;
};

Task<Result<Response>> refuse(Error error);

}  // namespace plimsoll
