#include "plimsoll/exchange/body_memory.hpp"

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace plimsoll {

void BodyMemory::limit(std::uint64_t memory, std::uint64_t disk, std::string folder) {
  memory_.limit = memory;
  disk_.limit = disk;
  folder_ = std::move(folder);
}

void BodyMemory::measure(telemetry::Registry& registry) {
  constexpr std::string_view kName = "plimsoll_body_bytes", kHelp = "Bytes taken by bodies that are held whole.";
  const telemetry::Label memory[] = {{"store", "memory"}}, disk[] = {{"store", "disk"}};
  memory_.gauge = &registry.gauge(kName, kHelp, memory);
  disk_.gauge = &registry.gauge(kName, kHelp, disk);
  refused_ = &registry.counter("plimsoll_bodies_refused_total",
                               "Requests refused because a body had no room in memory or on disk.");
}

bool BodyMemory::take(Store& store, std::uint64_t bytes) noexcept {
  if (store.used.fetch_add(bytes, std::memory_order_relaxed) + bytes > store.limit) {
    store.used.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }
  if (store.gauge) store.gauge->add(static_cast<std::int64_t>(bytes));
  return true;
}

void BodyMemory::give(Store& store, std::uint64_t bytes) noexcept {
  if (bytes == 0) return;
  store.used.fetch_sub(bytes, std::memory_order_relaxed);
  if (store.gauge) store.gauge->add(-static_cast<std::int64_t>(bytes));
}

Error BodyMemory::refused(std::string cause) noexcept {
  if (refused_) refused_->add();
  Error error{&kTooManyBodies};
  error.more().cause = std::move(cause);
  error.more().retry_after = 1;
  return error;
}

/// What a body holds of the budget, until its exchange ends.
struct WholeBody::Share {
  explicit Share(BodyMemory& memory) : memory(memory) {}
  ~Share() {
    if (mapped) ::munmap(mapped, mapped_size);
    if (file >= 0) ::close(file);
    memory.give_memory(in_memory);
    memory.give_disk(on_disk);
  }
  BodyMemory& memory;
  std::uint64_t in_memory = 0, on_disk = 0;
  int file = -1;
  void* mapped = nullptr;
  std::size_t mapped_size = 0;
};

WholeBody::WholeBody(Context& context, BodyMemory& memory, std::uint64_t limit, std::optional<std::uint64_t> length)
    : context_(context),
      threads_(context.services.threads),
      memory_(memory),
      limit_(limit),
      declared_(length.value_or(0)),
      fits_(declared_ <= limit) {
  if (!fits_) return;
  const auto room = std::min<std::uint64_t>(length.value_or(kFirstPiece), limit);
  if (!reserve(room)) return;
  text_ = context.arena.array<char>(room);
  room_ = room;
}

/// Of the memory of all bodies. What is small is not counted.
bool WholeBody::reserve(std::uint64_t room) {
  if (room <= BodyMemory::kUncounted) return true;
  if (!share_) share_ = &context_.keep<Share>(memory_);
  if (!memory_.take_memory(room)) return false;
  share_->in_memory += room;
  return true;
}

void WholeBody::add(Bytes piece) {
  if (fits_ = piece.size() <= limit_ - size_; !fits_) return;
  last_ = piece;
  if (share_ && share_->file >= 0) return to_disk();
  if (piece.size() > room_ - size_) {
    const auto room = std::min<std::uint64_t>(std::max(room_ * 2, size_ + piece.size()), limit_);
    if (!reserve(room)) return to_disk();
    auto* larger = context_.arena.array<char>(room);
    if (size_ > 0) std::memcpy(larger, text_, size_);
    text_ = larger;
    room_ = room;
  }
  std::memcpy(text_ + size_, piece.data(), piece.size());
  size_ += piece.size();
}

void WholeBody::to_disk() {
  if (!share_) share_ = &context_.keep<Share>(memory_);
  if (threads_)
    spooling_ = true;
  else
    write();
}

/// A file without a name.
bool WholeBody::open() {
  const auto& folder = memory_.folder();
  share_->file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (share_->file >= 0) return true;
  auto pattern = folder + "/plimsoll-body-XXXXXX";  // of a file system that does not know such files
  share_->file = ::mkostemp(pattern.data(), O_CLOEXEC);
  if (share_->file >= 0) ::unlink(pattern.c_str());
  return share_->file >= 0;
}

/// By another thread. What had been gathered in memory goes first.
void WholeBody::write() noexcept {
  spooling_ = false;
  try {
    const bool first = share_->file < 0;
    // All of a body whose length is known is reserved at once: one that cannot be finished keeps no room from others.
    const auto needed = std::max(size_ + last_.size(), declared_);
    if (const auto more = needed > share_->on_disk ? needed - share_->on_disk : 0; more > 0) {
      if (!memory_.take_disk(more)) {
        error_ = memory_.refused("the bodies on disk are at their limit");
        return;
      }
      share_->on_disk += more;
    }
    if ((first && !open()) || (first && !write_at(share_->file, {text_, size_}, 0)) ||
        !write_at(share_->file, as_text(last_), size_)) {
      error_ = memory_.refused("a body cannot be written to " + memory_.folder() + ": " +
                               std::system_category().message(errno));
      return;
    }
    size_ += last_.size();
  } catch (...) { error_ = error_from_current_exception(); }
}

std::string_view WholeBody::text() {
  if (!share_ || share_->file < 0 || size_ == 0) return {text_, size_};
  if (!share_->mapped) {
    auto* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, share_->file, 0);
    if (mapped == MAP_FAILED) {
      error_ = memory_.refused("a body cannot be mapped: " + std::system_category().message(errno));
      return {};
    }
    share_->mapped = mapped;
    share_->mapped_size = size_;
  }
  return {static_cast<const char*>(share_->mapped), size_};
}

}  // namespace plimsoll
