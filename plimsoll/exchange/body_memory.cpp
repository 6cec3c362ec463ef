#include "plimsoll/exchange/body_memory.hpp"

#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/client_address.hpp"
#include "plimsoll/http/method.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
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

Result<> BodyMemory::check_folder() const {
  if (unnamed_file(folder_)) return {};
  const auto why = std::system_category().message(errno);
  return std::unexpected(Error{&kTooManyBodies}.because("a body cannot be written to " + folder_ + ": " + why));
}

BodyShare::BodyShare(BodyMemory& memory, const Peer& peer)
    : memory_(memory), site_(peer.site ? peer.site : site_key(peer.address)) {}

BodyShare::~BodyShare() {
  if (spool_) try {
      memory_.threads_.post([spool = std::move(spool_)] {});
    } catch (...) {}  // without memory or a thread it is closed here
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

BodyShare::Spool::~Spool() {
  if (mapped) ::munmap(mapped, mapped_size);
}

Result<int> BodyShare::Spool::write() {
  if (!file) file = unnamed_file(folder);
  return file && write_at(file.get(), piece, at) ? 0 : errno;
}

Error BodyShare::hanging(Nanoseconds span) const {
  return memory_.refused("the folder of bodies, " + memory_.folder() + ", has not answered for " +
                         std::to_string(span / kSecond) + " s");
}

Task<Result<int>> BodyShare::put(Loop& loop, AbandonableThreads& threads, std::shared_ptr<Spool> spool) {
  auto done = co_await abandonable(loop, threads, [spool] { return spool->write(); });
  co_return done;
}

Task<Result<>> BodyShare::write(Loop& loop, std::string_view text, std::uint64_t at) {
  if (left_ || memory_.threads_.hang(kHanging)) co_return std::unexpected(hanging(kHanging));
  if (!spool_) spool_ = std::make_shared<Spool>(memory_.folder());
  const Scope* scope = co_await this_scope();
  do {
    spool_->piece.assign(text.substr(0, kPiece));
    spool_->at = at;
    left_ = true;
    auto done = co_await within(loop, kLongest, put(loop, memory_.threads_, spool_));
    if (!done && (done.error().problem != &kDeadlineExceeded || (scope && scope->stopped() != Stop::none)))
      co_return std::unexpected(std::move(done).error());
    if (!done) co_return std::unexpected(hanging(kLongest));
    left_ = false;
    if (*done != 0)
      co_return std::unexpected(memory_.refused("a body cannot be written to " + memory_.folder() + ": " +
                                                std::system_category().message(*done)));
    text.remove_prefix(spool_->piece.size());
    at += spool_->piece.size();
  } while (!text.empty());
  co_return Result<>{};
}

const char* BodyShare::map(std::uint64_t size) {
  if (!spool_->mapped) {
    auto* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, spool_->file.get(), 0);
    if (mapped == MAP_FAILED) return nullptr;
    spool_->mapped = mapped;
    spool_->mapped_size = size;
  }
  return static_cast<const char*>(spool_->mapped);
}

Task<Result<Body>> hold_unread(Context& context, BodyMemory& memory, const Request& request, Buffer bytes) {
  const auto text = as_text(bytes.bytes);
  if (text.size() <= BodyMemory::kUncounted) co_return std::move(bytes);
  auto& share = context.keep<BodyShare>(memory, request.peer);
  if (share.take_memory(text.size())) co_return std::move(bytes);
  Result<> held;
  if (!share.take_disk(text.size())) held = std::unexpected(share.refused());
  if (held) held = co_await share.write(context.loop, text, 0);
  if (held) co_return lasting_file(share.file(), 0, text.size());
  if (http::is_safe(request.method)) co_return std::unexpected(std::move(held).error());
  // What it asked for is done.
  co_return std::unexpected(Error{&database::kOutcomeUnknown}.because(held.error().more().cause));
}

WholeBody::WholeBody(Context& context, BodyMemory& memory, const Peer& peer, std::uint64_t limit,
                     std::optional<std::uint64_t> length)
    : context_(context),
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
  spooling_ = share_ && share_->file() >= 0;
  if (spooling_) return;
  if (piece.size() > room_ - size_) {
    constexpr std::uint64_t kGrowth = 16;  // the smaller pieces stay in the arena
    const auto most = declared_ >= size_ + piece.size() ? declared_ : limit_;
    const auto room = std::min(std::max(room_ * kGrowth, size_ + piece.size()), most);
    spooling_ = !reserve(room);
    if (spooling_) return;
    auto* larger = context_.arena.array<char>(room);
    if (size_ > 0) std::memcpy(larger, text_, size_);
    text_ = larger;
    room_ = room;
  }
  std::memcpy(text_ + size_, piece.data(), piece.size());
  size_ += piece.size();
}

Task<> WholeBody::spool() {
  spooling_ = false;
  auto done = co_await to_disk();
  if (!done) error_ = std::move(done).error();
}

/// What had been gathered in memory goes first.
Task<Result<>> WholeBody::to_disk() {
  auto& share = this->share();
  if (!share.take_disk(size_ + last_.size())) co_return std::unexpected(share.refused());
  if (share.file() < 0)
    if (auto moved = co_await share.write(context_.loop, {text_, size_}, 0); !moved) co_return moved;
  auto added = co_await share.write(context_.loop, as_text(last_), size_);
  if (added) size_ += last_.size();
  co_return added;
}

std::string_view WholeBody::text() {
  if (!share_ || share_->file() < 0 || size_ == 0) return {text_, size_};
  if (const auto* mapped = share_->map(size_)) return {mapped, size_};
  error_ = memory_.refused("a body cannot be mapped: " + std::system_category().message(errno));
  return {};
}

}  // namespace plimsoll
