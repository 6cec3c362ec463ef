#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll::http {

/// Where frames end in one direction of a WebSocket (RFC 6455, section 5.2); what they carry is not looked at. The same
/// however the bytes are cut.
class WebSocketFrames {
 public:
  /// Of bytes that follow those before: how many belong to the frame that was begun, or to one that has no whole head
  /// yet; the rest begins with a frame. Takes no more than these.
  std::size_t finish(std::string_view bytes) noexcept;
  /// Takes all of them.
  void pass(std::string_view bytes) noexcept {
    while (!bytes.empty()) {
      begun_ = true;
      bytes.remove_prefix(finish(bytes));
    }
  }
  /// The next byte begins a frame.
  bool between() const noexcept { return !begun_; }
  /// A close frame has begun: nothing may follow it.
  bool closed() const noexcept { return closed_; }

 private:
  std::size_t head_size() const noexcept;
  std::uint64_t left_ = 0;  ///< of the payload
  std::array<unsigned char, 14> head_{};
  std::uint8_t have_ = 0;  ///< bytes of the head; 0 once it is whole
  bool begun_ = false, closed_ = false;
};

/// A close frame of a server, unmasked, with a status code (section 7.4.1).
std::string close_frame(std::uint16_t code, std::string_view reason);

}  // namespace plimsoll::http
