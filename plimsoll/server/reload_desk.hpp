#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/exchange/policy.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace plimsoll::server {

inline constexpr Problem kNotReloaded{
    "not-reloaded", 422, "The contract was not reloaded",
    "Correct the listed errors and reload again; the previous contract stays in force."};
inline constexpr Problem kReloadUnanswered{
    "reload-unanswered", 503, "The reload did not finish in time",
    "Check the log for the result; repeat the reload after the server has started.", true};

/// What came of a reload, for whoever asked.
struct ReloadAnswer {
  bool done = false;
  std::string text;  ///< JSON: what changed; or sentences that say what is wrong
};

/// Where a reload is asked for by any thread, and done by the one that is in charge of the process. All who ask before
/// one begins share it.
class ReloadDesk {
 public:
  ReloadDesk();
  ~ReloadDesk();
  /// Called when somebody asks, from any thread: wakes the one in charge. Null: nobody is.
  void on_ask(std::function<void()> wake);
  /// Asks, and waits for the answer so long.
  Result<ReloadAnswer> ask(Nanoseconds patience);
  /// Asks; nobody waits.
  void ask();
  bool asked() const noexcept;
  /// By the one in charge: those who asked until now wait for the answer of `reload`.
  void serve(const std::function<ReloadAnswer()>& reload);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// `POST /reload` of the management listener.
std::unique_ptr<Handler> reload_page(ReloadDesk& desk);

}  // namespace plimsoll::server
