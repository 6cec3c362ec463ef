#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/scope.hpp"
#include "plimsoll/exchange/background.hpp"
#include "plimsoll/exchange/services.hpp"

#include <map>
#include <memory>
#include <mutex>

namespace plimsoll {

/// The fills of one generation that are under way. They go on where the client that caused them leaves; when the
/// process ends they have the time that requests have, and are then told to stop.
class Fills final : public Background {
 public:
  /// One of them, on its loop from its begin to its end.
  class Entry {
   public:
    Entry(const Services& services, Loop& loop, Scope& scope);
    ~Entry();
    Entry(const Entry&) = delete;

   private:
    friend class Fills;
    Fills* fills_;  ///< null: nobody keeps account
    Loop& loop_;
    Scope& scope_;
    Entry *next_ = nullptr, *previous_ = nullptr;  ///< of its loop
  };
  /// Those of a generation, with its first operation that has a cache.
  static void keep_account(const Services& services);

  Result<> start() override { return {}; }
  void drain(std::int64_t grace) noexcept override;
  void stop() noexcept override {}

 private:
  struct OfGeneration {
    Fills* fills = nullptr;
  };
  struct OfLoop {
    Entry* first = nullptr;
    Scope waiting;  ///< of the line that stops them
    bool waits = false;
  };
  /// `in_use`: holds the generation, and with it this.
  Task<> end(Loop& loop, Nanoseconds at, std::shared_ptr<const void> in_use);

  std::weak_ptr<const void> in_use_;  ///< of its generation
  std::mutex mutex_;
  std::map<Loop*, OfLoop> loops_;
};

}  // namespace plimsoll
