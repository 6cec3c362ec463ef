#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/scope.hpp"
#include "plimsoll/exchange/background.hpp"
#include "plimsoll/exchange/services.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

namespace plimsoll {

/// The fills of one generation that are under way, and other fetches for whoever needs what they bring. They go on
/// where the client that caused them leaves. When the process ends, those that nobody waits for any more are told to
/// stop, and the others when the time that requests have is over.
class Fills final : public Background {
 public:
  /// One of them, on its loop from its begin to its end.
  class Entry {
   public:
    Entry(const Services& services, Loop& loop, Scope& scope);
    ~Entry();
    Entry(const Entry&) = delete;
    /// Whether anybody waits for what it brings; set by whoever begins it, and asked on its loop.
    std::function<bool()> awaited = [] { return true; };

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
    std::optional<Scope> looking;  ///< of the line that stops them
    bool looks = false;            ///< there is one
  };
  void begin_to_end(Loop& loop);
  /// `in_use`: holds the generation, and with it this.
  Task<> end(Loop& loop, OfLoop& here, std::shared_ptr<const void> in_use);
  void stop_some(OfLoop& here, bool all);

  std::weak_ptr<const void> in_use_;     ///< of its generation
  std::atomic<Nanoseconds> ends_at_{0};  ///< the process is about to end, and fills are to end by then (steady)
  std::mutex mutex_;
  std::map<Loop*, OfLoop> loops_;
};

}  // namespace plimsoll
