#include "plimsoll/net/stream_channel.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace plimsoll::net {

StreamChannel::StreamChannel(Loop& loop, std::string incoming, bool ended)
    : loop_(loop), in_(std::move(incoming)), in_ended_(ended) {
  readable_.set(true);
  writable_.set(true);
}

Moved StreamChannel::read(std::span<char> into) noexcept {
  if (in_at_ < in_.size()) {
    const auto size = std::min(into.size(), in_.size() - in_at_);
    std::copy_n(in_.data() + in_at_, size, into.data());
    in_at_ += size;
    if (in_at_ == in_.size()) in_ = {}, in_at_ = 0;
    consumed(size);
    return {.bytes = size};
  }
  if (broken_) return {.error = ECONNRESET};
  if (in_ended_) return {.ended = true};
  readable_.set(false);
  return {.want = Want::read};
}

Moved StreamChannel::write(std::span<const iovec> pieces) noexcept {
  if (broken_) return {.error = EPIPE};
  if (!out_.empty()) {
    writable_.set(false);
    return {.want = Want::write};
  }
  try {
    for (const auto& piece : pieces)
      out_.append(static_cast<const char*>(piece.iov_base), std::min(piece.iov_len, kMost - out_.size()));
  } catch (...) {
    out_.clear();
    return {.error = ENOMEM};
  }
  if (!out_.empty()) supply(out_);
  return {.bytes = out_.size()};
}

Readiness::Wait StreamChannel::wait(Want want, Nanoseconds within) noexcept {
  if (want == Want::write && pending()) writable_.set(false);
  return {loop_, want == Want::write ? writable_ : readable_, within};
}

void StreamChannel::came(std::string_view piece) {
  if (closed_) return consumed(piece.size());
  in_.erase(0, std::exchange(in_at_, 0));
  in_.append(piece);
  readable_.happen();
}

void StreamChannel::came_all() noexcept {
  in_ended_ = true;
  readable_.happen();
}

void StreamChannel::drained() noexcept {
  out_ = {};
  end_where_due();
  writable_.happen();
}

void StreamChannel::end_written() noexcept {
  end_ = End::none;
  writable_.happen();
}

void StreamChannel::broke() noexcept {
  broken_ = true;
  out_ = {};
  end_ = End::none;
  readable_.happen();
  writable_.happen();
}

void StreamChannel::finish() noexcept {
  end_ = End::half;
  end_where_due();
}

void StreamChannel::close(bool lost) noexcept {
  closed_ = true;
  in_ = {};
  end_ = lost ? End::reset : End::whole;
  end_given_ = false;
  end_where_due();
}

void StreamChannel::end_where_due() noexcept {
  if (broken_ || !out_.empty() || end_ == End::none || std::exchange(end_given_, true)) return;
  end(end_);
}

}  // namespace plimsoll::net
