#pragma once

#include "plimsoll/async/abandonable.hpp"
#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/base/result.hpp"
#include "plimsoll/exchange/context.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace plimsoll::telemetry {
class Counter;
class Gauge;
class Registry;
}  // namespace plimsoll::telemetry

namespace plimsoll {

inline constexpr Problem kTooManyBodies{"too-many-bodies", 503, "Too many large bodies at the same time",
                                        "Repeat the request after Retry-After, or send less at once.", true};

/// What the bodies that are held whole may take, over all connections: those of requests, of services' responses, and
/// of responses that wait for their reader. Memory first, then disk. Those of one address have a quarter of it at most,
/// or two bodies: a request and its response. Used by all threads; one for the process
/// (`services.shared->of<BodyMemory>()`).
class BodyMemory {
 public:
  /// Bodies up to this size are not counted: as much room has every request.
  static constexpr std::uint64_t kUncounted = 4 * 1024;

  /// Before the first request. `folder`: for what is on disk, in files without names.
  void limit(std::uint64_t memory, std::uint64_t disk, std::string folder);
  void measure(telemetry::Registry& registry);

  std::uint64_t memory() const noexcept { return memory_.used.load(std::memory_order_relaxed); }
  std::uint64_t disk() const noexcept { return disk_.used.load(std::memory_order_relaxed); }
  const std::string& folder() const noexcept { return folder_; }
  /// Whether the folder takes files. Blocks, and counts nothing.
  Result<> check_folder() const;
  /// The problem, counted.
  Error refused(std::string cause) noexcept;

 private:
  friend class BodyShare;
  struct Store {
    std::uint64_t limit;
    std::atomic<std::uint64_t> used{0};
    telemetry::Gauge* gauge = nullptr;
  };
  struct Site {
    std::uint64_t bytes = 0, bodies = 0;
  };
  /// `further`: the body has some room already.
  bool take(Store& store, std::uint64_t site, bool further, std::uint64_t bytes);
  void give(Store& store, std::uint64_t bytes) noexcept;
  void give_site(std::uint64_t site, bool all, std::uint64_t bytes) noexcept;

  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Site> sites_;  ///< by `site_key`
  Store memory_{.limit = 64 * 1024 * 1024}, disk_{.limit = 1024 * 1024 * 1024};
  std::string folder_ = "/tmp";
  AbandonableThreads threads_{4};  ///< for calls to the folder, which may hang
  telemetry::Counter* refused_ = nullptr;
};

/// What one body holds of the budget, until it ends.
class BodyShare {
 public:
  BodyShare(BodyMemory& memory, const Peer& peer);
  ~BodyShare();
  BodyShare(const BodyShare&) = delete;

  /// More of the memory; false: there is no room.
  bool take_memory(std::uint64_t bytes);
  /// The room that the body takes on disk, of which it may have some already; false: there is none.
  bool take_disk(std::uint64_t bytes);
  /// Into a file without a name, which the first call makes. The room is taken before. By threads that are left behind
  /// when the line of work is told to stop, or where the folder has not taken a piece for `kLongest`.
  Task<Result<>> write(Loop& loop, std::string_view text, std::uint64_t at);
  /// What was written, as long as the exchange; negative: nothing was.
  int file() const noexcept { return spool_ && !left_ ? spool_->file.get() : -1; }
  /// So many bytes of it, as long; null: they cannot be mapped.
  const char* map(std::uint64_t size);
  /// There was no room. The problem, counted.
  Error refused() const noexcept;

 private:
  BodyMemory& memory_;
  const std::uint64_t site_;
  bool has_room() const { return in_memory_ + on_disk_ > 0; }
  Error hanging(Nanoseconds span) const;

  /// The file, and the piece that a thread writes to it. Owned by the body and by what the thread does: the last of
  /// them closes it, never an I/O thread.
  struct Spool {
    explicit Spool(std::string folder) : folder(std::move(folder)) {}
    ~Spool();
    Spool(const Spool&) = delete;
    /// `errno`; 0: it is written. May hang.
    Result<int> write();
    const std::string folder;
    OwnedDescriptor file;
    std::string piece;
    std::uint64_t at = 0;
    void* mapped = nullptr;
    std::size_t mapped_size = 0;
  };
  static Task<Result<int>> put(Loop& loop, AbandonableThreads& threads, std::shared_ptr<Spool> spool);
  static constexpr std::size_t kPiece = 256 << 10;
  static constexpr Nanoseconds kHanging = 3 * kSecond, kLongest = 10 * kSecond;

  std::uint64_t in_memory_ = 0, on_disk_ = 0;
  std::shared_ptr<Spool> spool_;
  bool left_ = false;  ///< a thread is at a piece
};

/// The body of a response whose reader may be slow: its bytes are counted until the exchange ends, or are written to
/// disk, sent from there, and their memory given back. An error: they have no room, or the address has none; of an
/// unsafe request, that its outcome is unknown.
Task<Result<Body>> hold_unread(Context& context, BodyMemory& memory, const Request& request, Buffer bytes);

/// A body that is gathered in one piece, bounded before it is stored: in the arena of its exchange as long as the
/// budget of all bodies has room, else in a file, which is mapped when the body is whole.
///
///     WholeBody whole{context, memory, request.peer, limit, length};
///     …whole.add(piece); if (whole.spools()) co_await whole.spool(); if (auto* error = whole.error()) …
///     auto text = whole.text();
class WholeBody {
 public:
  WholeBody(Context& context, BodyMemory& memory, const Peer& peer, std::uint64_t limit,
            std::optional<std::uint64_t> length);
  WholeBody(const WholeBody&) = delete;

  /// Within the limit of this body.
  bool fits() const { return fits_; }
  std::uint64_t limit() const { return limit_; }
  /// Takes the piece; it stays where it is until `spool` has ended, where that is to be called.
  void add(Bytes piece);
  /// The last piece is to be written to disk: `co_await whole.spool();`
  bool spools() const { return spooling_; }
  Task<> spool();
  /// Neither memory nor disk has room for it, or the disk did not take it in the time of the exchange.
  const Error* error() const { return error_ ? &*error_ : nullptr; }
  /// When the last piece is added; lives as long as the exchange. Empty with an error when it cannot be mapped.
  std::string_view text();

 private:
  static constexpr std::uint64_t kFirstPiece = BodyMemory::kUncounted;
  bool reserve(std::uint64_t room);
  Task<Result<>> to_disk();
  BodyShare& share();

  Context& context_;
  BodyMemory& memory_;
  const Peer& peer_;
  const std::uint64_t limit_, declared_;
  bool fits_, spooling_ = false;
  BodyShare* share_ = nullptr;
  char* text_ = nullptr;
  std::uint64_t room_ = 0, size_ = 0;
  Bytes last_{};
  std::optional<Error> error_;
};

}  // namespace plimsoll
