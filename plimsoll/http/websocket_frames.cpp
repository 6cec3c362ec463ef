#include "plimsoll/http/websocket_frames.hpp"

#include <algorithm>

namespace plimsoll::http {
namespace {

constexpr unsigned kClose = 8, kMasked = 0x80;
constexpr std::size_t kMostOfControl = 125;

}  // namespace

/// As far as it is known from what has come.
std::size_t WebSocketFrames::head_size() const noexcept {
  if (have_ < 2) return 2;
  const auto length = head_[1] & 0x7Fu;
  return 2u + (length == 126 ? 2u : length == 127 ? 8u : 0u) + (head_[1] & kMasked ? 4u : 0u);
}

std::size_t WebSocketFrames::finish(std::string_view bytes) noexcept {
  std::size_t at = 0;
  while (begun_ && at < bytes.size()) {
    if (left_ > 0) {
      const auto part = std::min<std::uint64_t>(left_, bytes.size() - at);
      left_ -= part;
      at += static_cast<std::size_t>(part);
    } else {
      head_[have_++] = static_cast<unsigned char>(bytes[at++]);
      if (have_ < head_size()) continue;
      if ((head_[0] & 0x0Fu) == kClose) closed_ = true;
      left_ = head_[1] & 0x7Fu;
      if (left_ >= 126) {
        const std::size_t count = left_ == 126 ? 2 : 8;
        left_ = 0;
        for (std::size_t i = 0; i < count; ++i) left_ = left_ << 8 | head_[2 + i];
      }
      have_ = 0;
    }
    if (left_ == 0 && have_ == 0) begun_ = false;
  }
  return at;
}

std::string close_frame(std::uint16_t code, std::string_view reason) {
  reason = reason.substr(0, kMostOfControl - 2);
  std::string frame;
  frame += static_cast<char>(0x80u | kClose);
  frame += static_cast<char>(reason.size() + 2);
  frame += static_cast<char>(code >> 8);
  frame += static_cast<char>(code & 0xFF);
  return frame.append(reason);
}

}  // namespace plimsoll::http
