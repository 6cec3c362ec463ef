#pragma once

#include "plimsoll/http/websocket_frames.hpp"
#include "plimsoll/net/channel.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::client {

/// One direction of a relay: what is read at one transport is written to another. It never waits, and holds bytes only
/// while the receiver does not take them: at most what fits into the scratch it is given, and then it reads no more.
class RelayHalf {
 public:
  /// What it stands at.
  enum class Next : std::uint8_t {
    read,         ///< nothing to read
    write,        ///< the receiver takes no more
    turn,         ///< it could go on, and others have their turn first
    again,        ///< TLS wants the other way of a transport: soon again
    ended,        ///< the sender has ended, all was written, and so has this towards the receiver
    sender_lost,  ///< its connection broke; all that came before was written
    receiver_lost
  };
  RelayHalf(net::Channel& from, net::Channel& to) : from_(from), to_(to) {}

  /// Bytes of the sender that were read before; they go first. Before the first step.
  void before(std::string_view bytes);
  /// Moves what can be moved. `scratch` is of the thread: nothing of it is used after the call.
  Next step(std::span<char> scratch);
  /// The frame of a WebSocket that was begun is the last; this one follows, unless a close frame was sent before, and
  /// what comes then is thrown away. It goes at once where it can, else with the next step.
  void end_with(std::string frame);
  std::uint64_t moved() const noexcept { return moved_; }
  /// A close frame has gone this way: nothing follows it.
  bool closed() const noexcept { return silent_ || frames_.closed(); }
  /// The sender has said that it sends no more.
  bool ended() const noexcept { return ended_ && !lost_; }
  /// Bytes that are held now.
  std::size_t held() const noexcept { return pending_ ? size_ - at_ : 0; }
  net::Channel& from() noexcept { return from_; }
  net::Channel& to() noexcept { return to_; }

 private:
  void hold(std::string_view bytes);
  bool begin_last();
  /// Of what is pending; `turn`: all of it was written.
  Next flush();
  net::Channel &from_, &to_;
  std::unique_ptr<char[]> pending_;
  std::size_t at_ = 0, size_ = 0;
  std::uint64_t moved_ = 0;
  bool ended_ = false, lost_ = false, silent_ = false, finished_ = false;
  http::WebSocketFrames frames_;  ///< of what was read
  std::string last_;
};

/// Passes bytes between two connections of one thread, both ways at once, each as fast as its receiver takes them. The
/// end of one side is passed on to the other, which may go on sending (half-close). A pair that is idle holds no
/// buffer.
class Relay {
 public:
  static constexpr std::size_t kScratch = 16 * 1024;
  enum class End : std::uint8_t {
    both,         ///< both sides have ended
    first_lost,   ///< the connection of that side broke
    second_lost,  //
    idle,         ///< no byte moved either way for as long as is allowed
    stopped       ///< by the scope
  };
  /// Told of each move, for counting.
  class Meter {
   public:
    virtual void moved(bool to_second, std::uint64_t bytes) noexcept = 0;

   protected:
    ~Meter() = default;
  };

  Relay(Loop& loop, net::Channel& first, net::Channel& second, Nanoseconds idle, Meter* meter = nullptr);

  RelayHalf& to_first() noexcept { return to_first_; }
  RelayHalf& to_second() noexcept { return to_second_; }
  /// Until both sides have ended, or one of the other ends. Once.
  Task<End> run();

 private:
  Task<bool> way(RelayHalf& half, bool to_second);
  void end(End why) noexcept {
    if (end_ == End::both) end_ = why;
  }
  Loop& loop_;
  RelayHalf to_first_, to_second_;
  const Nanoseconds idle_;
  Meter* const meter_;
  Nanoseconds last_ = 0;  ///< when a byte moved
  End end_ = End::both;
};

}  // namespace plimsoll::client
