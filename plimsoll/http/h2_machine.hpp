#pragma once

// What both sides of an HTTP/2 connection are inside: h2_machine.cpp keeps streams and windows, h2_input.cpp reads
// frames, h2_output.cpp writes them. The server's side is h2.cpp, the client's h2_client.cpp.

#include "plimsoll/http/h2.hpp"
#include "plimsoll/http/h2_head.hpp"
#include "plimsoll/http/hpack_writer.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace plimsoll::http {

namespace h2 {

// RFC 9113, section 6.
enum class Type : std::uint8_t { data, headers, priority, reset, settings, push, ping, goaway, window, continuation };
inline constexpr std::uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8, kPrioritized = 0x20;
inline constexpr std::size_t kFrameHeader = 9;      // bytes (section 4.1)
inline constexpr std::size_t kMostPayload = 16384;  // what both sides take (section 4.2)
inline constexpr std::int64_t kFirstWindow = 65535, kMostWindow = 0x7fffffff;
inline constexpr std::string_view kDrainPing = "going up";

inline std::uint32_t number(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return std::uint32_t{static_cast<unsigned char>(bytes[i])}; };
  return at(0) << 24 | at(1) << 16 | at(2) << 8 | at(3);
}
inline void put_number(std::string& out, std::uint32_t value) {
  const char bytes[] = {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
                        static_cast<char>(value)};
  out.append(bytes, sizeof bytes);
}
/// A frame header, where there is room for it.
inline void put_header(char* to, std::size_t size, Type type, std::uint8_t flags, std::int32_t stream) {
  const auto id = static_cast<std::uint32_t>(stream);
  const char bytes[] = {static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size),
                        static_cast<char>(type),       static_cast<char>(flags),     static_cast<char>(id >> 24),
                        static_cast<char>(id >> 16),   static_cast<char>(id >> 8),   static_cast<char>(id)};
  std::copy_n(bytes, sizeof bytes, to);
}

struct Frame {
  std::uint32_t length = 0;
  Type type = Type::data;
  std::uint8_t flags = 0;
  std::int32_t stream = 0;
};

/// One side of a connection. What the two sides do in different ways is virtual, and called once for a head or a
/// stream, never for each byte or frame of content.
struct Machine {
  using Queue = H2Stream::Queue;

  /// Streams in the order in which they are to be written.
  struct Line {
    H2Stream *first = nullptr, *last = nullptr;
    void add(H2Stream& stream);
    void remove(H2Stream& stream);
  };
  /// What a header block that comes is: what begins a message, what ends one, or nothing of use.
  enum class Purpose : std::uint8_t { head, trailers, ignored };

  const H2Options options;
  H2Guard guard;
  Nanoseconds now = 0;
  bool failed = false, draining = false, drained = false, peer_leaves = false;
  std::string complaint;

  // What comes.
  std::size_t preface_left = 0;
  std::array<char, kFrameHeader> header{};
  std::size_t header_size = 0;
  bool within_frame = false, settings_came = false, settled = false, told_in_force = false;
  Frame frame;
  std::size_t payload_left = 0;
  std::string payload;             ///< what came of it, where it did not come whole
  std::size_t pad = 0;             ///< of DATA
  bool pad_due = false;            ///< its first byte, the length of the padding, is still to come
  H2Stream* content_of = nullptr;  ///< whose content this DATA frame is; null: nobody's any more
  bool in_block = false;
  std::string block;  ///< of which CONTINUATION is still to come
  std::int32_t block_stream = 0;
  bool block_ends_stream = false;
  Purpose purpose = Purpose::ignored;
  H2HeadReader heads_in{options};
  std::int64_t in_window, in_returned = 0;  ///< of the connection

  // Streams.
  static constexpr std::size_t kSlots = 64;
  std::array<H2Stream*, kSlots> slots{};
  std::size_t open = 0;
  std::int32_t highest = 0;                    ///< that the client has opened, as far as the other side knows
  std::array<std::int32_t, 64> reset_by_us{};  ///< the last of them
  std::size_t resets_by_us = 0;

  // What goes.
  std::string control;       ///< frames that stand before all others
  std::int64_t answers = 0;  ///< of them, what the peer made us send
  Line heads, content;
  HpackWriter writer;
  std::string lower_name;
  std::int64_t out_window = kFirstWindow, first_out_window = kFirstWindow;

  explicit Machine(const H2Options& o);
  Machine(const Machine&) = delete;
  virtual ~Machine() = default;

  // What the sides do in ways of their own.
  /// A header block begins to come on this stream.
  virtual Purpose purpose_of(std::int32_t id) = 0;
  /// Content of a stream that is over begins to come. It may have been under way when the stream ended.
  virtual void content_of_closed() {}
  /// RST_STREAM for a stream that is over.
  virtual void reset_of_closed() {}
  /// A block that begins a message.
  virtual void head_came(std::string_view bytes) = 0;
  /// The peer's message on this stream is whole.
  virtual void in_ended(H2Stream& stream) = 0;
  /// Ours is in the output.
  virtual void out_ended(H2Stream& stream, std::string& out) = 0;
  /// A setting that means something to one side alone.
  virtual void own_setting(std::uint32_t id, std::uint32_t value) = 0;
  virtual void pong(std::string_view bytes) = 0;
  virtual void goaway_came(std::string_view bytes) = 0;
  virtual void write_head(H2Stream& stream, std::string& out) = 0;
  /// The last stream of the peer that GOAWAY says was taken.
  virtual std::int32_t last_taken() const = 0;

  // h2_machine.cpp
  void fail(H2Error why, std::string_view debug);
  void goaway(std::int32_t last, H2Error why, std::string_view debug);
  void say_settings(std::span<const std::pair<std::uint16_t, std::uint32_t>> settings);
  static void put_frame_header(std::string& out, std::size_t size, Type type, std::uint8_t flags, std::int32_t id);
  void put_window(std::int32_t id, std::uint32_t bytes);
  H2Stream* find(std::int32_t id) const {
    auto* stream = slots[slot(id)];
    while (stream && stream->id_ != id) stream = stream->same_slot_;
    return stream;
  }
  static std::size_t slot(std::int32_t id) { return static_cast<std::size_t>(id >> 1) % kSlots; }
  template <class F>
  void each_stream(F visit) {
    for (auto* first : slots)
      for (auto* stream = first; stream; stream = stream->same_slot_) visit(*stream);
  }
  void take_in(H2Stream& stream, std::int32_t id);
  void close(H2Stream& stream, H2Error why);
  void put_reset(std::string& out, std::int32_t id, H2Error why);
  bool was_reset(std::int32_t id) const { return std::ranges::find(reset_by_us, id) != reset_by_us.end(); }
  void consumed(H2Stream& stream, std::size_t bytes);
  void consumed_on_connection(std::size_t bytes);

  // h2_input.cpp
  void read(std::string_view bytes);
  bool read_preface(std::string_view& bytes);
  bool read_header(std::string_view& bytes);
  void begin_frame();
  void check_stream();
  void check_size();
  bool read_payload(std::string_view& bytes);
  void begin_data();
  bool read_data(std::string_view& bytes);
  void take_content(std::string_view piece);
  void content_ended(H2Stream& stream);
  void frame_came(std::string_view bytes);
  bool depends_on_itself(std::string_view priority);
  void headers(std::string_view bytes);
  void block_came(std::string_view bytes);
  bool block_failed(H2HeadReader::Outcome outcome);
  void trailers_came(std::string_view bytes);
  void settings(std::string_view bytes);
  void setting(std::uint32_t id, std::uint32_t value);
  void told_settings_in_force();
  void ping(std::string_view bytes);
  void window(std::string_view bytes);
  void reset_came(std::string_view bytes);
  void break_stream(std::int32_t id, H2Error why);
  void answer_due();

  // h2_output.cpp
  void ready(H2Stream& stream);
  void put_in(H2Stream& stream, Queue queue);
  void write_next(H2Stream& stream, std::string& out);
  void write_fields(std::span<const Header> fields, std::string& out);
  void end_block(std::string& out, std::size_t begin, std::int32_t id, std::uint8_t flags);
  void write_content(H2Stream& stream, std::string& out);
  void write_end(H2Stream& stream, std::string& out);
  bool wants_write() const {
    return !control.empty() || (!failed && (heads.first || (content.first && out_window > 0)));
  }
  bool partial() const { return preface_left || header_size || within_frame || in_block; }
  void gather(std::string& out, std::size_t limit);
};

}  // namespace h2

}  // namespace plimsoll::http
