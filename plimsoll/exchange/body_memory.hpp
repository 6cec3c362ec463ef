#pragma once

#include "plimsoll/async/blocking.hpp"
#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/result.hpp"
#include "plimsoll/exchange/context.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::telemetry {
class Counter;
class Gauge;
class Registry;
}  // namespace plimsoll::telemetry

namespace plimsoll {

inline constexpr Problem kTooManyBodies{"too-many-bodies", 503, "Too many large bodies at the same time",
                                        "Repeat the request after Retry-After, or send less at once.", true};

/// What the bodies that are held whole, of requests and of services' responses, may take, over all connections: memory
/// first, then disk. Used by all threads; one for the process (`services.shared->of<BodyMemory>()`).
class BodyMemory {
 public:
  /// Bodies up to this size are not counted: as much room has every request.
  static constexpr std::uint64_t kUncounted = 4 * 1024;

  /// Before the first request. `folder`: for what is on disk, in files without names.
  void limit(std::uint64_t memory, std::uint64_t disk, std::string folder);
  void measure(telemetry::Registry& registry);

  bool take_memory(std::uint64_t bytes) noexcept { return take(memory_, bytes); }
  bool take_disk(std::uint64_t bytes) noexcept { return take(disk_, bytes); }
  void give_memory(std::uint64_t bytes) noexcept { give(memory_, bytes); }
  void give_disk(std::uint64_t bytes) noexcept { give(disk_, bytes); }
  std::uint64_t memory() const noexcept { return memory_.used.load(std::memory_order_relaxed); }
  std::uint64_t disk() const noexcept { return disk_.used.load(std::memory_order_relaxed); }
  const std::string& folder() const noexcept { return folder_; }
  /// The problem, counted.
  Error refused(std::string cause) noexcept;

 private:
  struct Store {
    std::uint64_t limit;
    std::atomic<std::uint64_t> used{0};
    telemetry::Gauge* gauge = nullptr;
  };
  static bool take(Store& store, std::uint64_t bytes) noexcept;
  static void give(Store& store, std::uint64_t bytes) noexcept;

  Store memory_{.limit = 64 * 1024 * 1024}, disk_{.limit = 1024 * 1024 * 1024};
  std::string folder_ = "/tmp";
  telemetry::Counter* refused_ = nullptr;
};

/// A body that is gathered in one piece, bounded before it is stored: in the arena of its exchange as long as the
/// budget of all bodies has room, else in a file, which is mapped when the body is whole.
///
///     WholeBody whole{context, memory, limit, length};
///     …whole.add(piece); if (whole.spools()) co_await whole.spool(); if (auto error = whole.error()) …
///     auto text = whole.text();
class WholeBody {
 public:
  WholeBody(Context& context, BodyMemory& memory, std::uint64_t limit, std::optional<std::uint64_t> length);
  WholeBody(const WholeBody&) = delete;

  /// Within the limit of this body.
  bool fits() const { return fits_; }
  std::uint64_t limit() const { return limit_; }
  /// Takes the piece; it stays where it is until `spool` has ended, where that is to be called.
  void add(Bytes piece);
  /// The last piece is to be written to disk: `co_await whole.spool();`
  bool spools() const { return spooling_; }
  auto spool() {
    return blocking(context_.loop, *threads_, [this] {
      write();
      return true;
    });
  }
  /// Neither memory nor disk has room for it.
  const Error* error() const { return error_ ? &*error_ : nullptr; }
  /// When the last piece is added; lives as long as the exchange. Empty with an error when it cannot be mapped.
  std::string_view text();

 private:
  struct Share;
  static constexpr std::uint64_t kFirstPiece = BodyMemory::kUncounted;
  bool reserve(std::uint64_t room);
  void to_disk();
  void write() noexcept;
  bool open();

  Context& context_;
  Threads* threads_;  ///< null: written by this one
  BodyMemory& memory_;
  const std::uint64_t limit_, declared_;
  bool fits_, spooling_ = false;
  Share* share_ = nullptr;
  char* text_ = nullptr;
  std::uint64_t room_ = 0, size_ = 0;
  Bytes last_{};
  std::optional<Error> error_;
};

}  // namespace plimsoll
