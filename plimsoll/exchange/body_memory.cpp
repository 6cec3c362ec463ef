#include "plimsoll/exchange/body_memory.hpp"

#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/client_address.hpp"
#include "plimsoll/http/method.hpp"
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

bool BodyMemory::take(Store& store, std::uint64_t site, bool further, std::uint64_t bytes) {
  constexpr std::uint64_t kParts = 4, kBodies = 2;
  {
    const std::scoped_lock lock(mutex_);
    auto& of = sites_[site];
    const auto bodies = of.bodies + (further ? 0 : 1);
    if (bodies > kBodies && of.bytes + bytes > (memory_.limit + disk_.limit) / kParts) return false;
    of = {.bytes = of.bytes + bytes, .bodies = bodies};
  }
  if (store.used.fetch_add(bytes, std::memory_order_relaxed) + bytes > store.limit) {
    store.used.fetch_sub(bytes, std::memory_order_relaxed);
    give_site(site, !further, bytes);
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

void BodyMemory::give_site(std::uint64_t site, bool all, std::uint64_t bytes) noexcept {
  const std::scoped_lock lock(mutex_);
  const auto of = sites_.find(site);
  of->second.bytes -= bytes;
  if (all && --of->second.bodies == 0) sites_.erase(of);
}

Error BodyMemory::refused(std::string cause) noexcept {
  if (refused_) refused_->add();
  Error error{&kTooManyBodies};
  error.more().cause = std::move(cause);
  error.more().retry_after = 1;
  return error;
}

BodyShare::BodyShare(BodyMemory& memory, const Peer& peer)
    : memory_(memory), site_(peer.site ? peer.site : site_key(peer.address)) {}

BodyShare::~BodyShare() {
  memory_.give(memory_.memory_, in_memory_);
  memory_.give(memory_.disk_, on_disk_);
  if (has_room()) memory_.give_site(site_, true, in_memory_ + on_disk_);
}

bool BodyShare::take_memory(std::uint64_t bytes) {
  if (!memory_.take(memory_.memory_, site_, has_room(), bytes)) return false;
  in_memory_ += bytes;
  return true;
}

bool BodyShare::take_disk(std::uint64_t bytes) {
  if (bytes <= on_disk_) return true;
  if (!memory_.take(memory_.disk_, site_, has_room(), bytes - on_disk_)) return false;
  on_disk_ = bytes;
  return true;
}

Error BodyShare::refused() const noexcept {
  return memory_.refused("the bodies in memory and on disk, or those of this address, are at their limit");
}

Result<> BodyShare::write(std::string_view text, std::uint64_t at) {
  const auto& folder = memory_.folder();
  if (!file_) file_ = OwnedDescriptor{::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
  if (!file_) {  // of a file system that does not know such files
    auto pattern = folder + "/plimsoll-body-XXXXXX";
    file_ = OwnedDescriptor{::mkostemp(pattern.data(), O_CLOEXEC)};
    if (file_) ::unlink(pattern.c_str());
  }
  if (file_ && write_at(file_.get(), text, at)) return {};
  return std::unexpected(
      memory_.refused("a body cannot be written to " + folder + ": " + std::system_category().message(errno)));
}

Task<Result<Body>> hold_unread(Context& context, BodyMemory& memory, const Request& request, Buffer bytes) {
  const auto text = as_text(bytes.bytes);
  if (text.size() <= BodyMemory::kUncounted) co_return std::move(bytes);
  auto& share = context.keep<BodyShare>(memory, request.peer);
  if (share.take_memory(text.size())) co_return std::move(bytes);
  Result<> held;
  if (!share.take_disk(text.size())) held = std::unexpected(share.refused());
  if (held) held = co_await blocking(context.loop, context.services.threads, [&] { return share.write(text, 0); });
  if (held) co_return lasting_file(share.file().get(), 0, text.size());
  if (http::is_safe(request.method)) co_return std::unexpected(std::move(held).error());
  // What it asked for is done.
  co_return std::unexpected(Error{&database::kOutcomeUnknown}.because(held.error().more().cause));
}

WholeBody::WholeBody(Context& context, BodyMemory& memory, const Peer& peer, std::uint64_t limit,
                     std::optional<std::uint64_t> length)
    : context_(context),
      threads_(context.services.threads),
      memory_(memory),
      peer_(peer),
      limit_(limit),
      declared_(length.value_or(0)),
      fits_(declared_ <= limit) {
  if (!fits_) return;
  // What is declared and does not come takes no room from others.
  const auto room = std::min({length.value_or(kFirstPiece), kFirstPiece, limit});
  text_ = context.arena.array<char>(room);
  room_ = room;
}

/// Of the memory of all bodies. What is small is not counted.
bool WholeBody::reserve(std::uint64_t room) {
  if (room <= BodyMemory::kUncounted) return true;
  return share().take_memory(room);
}

BodyShare& WholeBody::share() {
  if (!share_) share_ = &context_.keep<BodyShare>(memory_, peer_);
  return *share_;
}

void WholeBody::add(Bytes piece) {
  if (fits_ = piece.size() <= limit_ - size_; !fits_) return;
  last_ = piece;
  if (share_ && share_->file()) return to_disk();
  if (piece.size() > room_ - size_) {
    constexpr std::uint64_t kGrowth = 16;  // the smaller pieces stay in the arena
    const auto most = declared_ >= size_ + piece.size() ? declared_ : limit_;
    const auto room = std::min(std::max(room_ * kGrowth, size_ + piece.size()), most);
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
  share();
  if (threads_)
    spooling_ = true;
  else
    write();
}

/// By another thread. What had been gathered in memory goes first.
void WholeBody::write() noexcept {
  spooling_ = false;
  try {
    const bool first = !share_->file();
    Result<> done;
    if (!share_->take_disk(size_ + last_.size())) done = std::unexpected(share_->refused());
    if (done && first) done = share_->write({text_, size_}, 0);
    if (done) done = share_->write(as_text(last_), size_);
    if (done)
      size_ += last_.size();
    else
      error_ = std::move(done).error();
  } catch (...) { error_ = error_from_current_exception(); }
}

struct WholeBody::Mapping {
  Mapping(void* at, std::size_t size) : at(at), size(size) {}
  ~Mapping() { ::munmap(at, size); }
  Mapping(const Mapping&) = delete;
  void* at;
  std::size_t size;
};

std::string_view WholeBody::text() {
  if (!share_ || !share_->file() || size_ == 0) return {text_, size_};
  if (mapped_.empty()) {
    auto* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, share_->file().get(), 0);
    if (mapped == MAP_FAILED) {
      error_ = memory_.refused("a body cannot be mapped: " + std::system_category().message(errno));
      return {};
    }
    context_.keep<Mapping>(mapped, size_);
    mapped_ = {static_cast<const char*>(mapped), size_};
  }
  return mapped_;
}

}  // namespace plimsoll
