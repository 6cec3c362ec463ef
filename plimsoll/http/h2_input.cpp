#include "plimsoll/http/h2_machine.hpp"

#include <cstring>

namespace plimsoll::http::h2 {

void Machine::read(std::string_view bytes) {
  while (!failed) {
    if (preface_left) {
      if (!read_preface(bytes)) return;
    } else if (!within_frame) {
      if (!read_header(bytes)) return;
      begin_frame();
    } else if (!read_payload(bytes)) {
      return;
    }
  }
}

bool Machine::read_preface(std::string_view& bytes) {
  const auto size = std::min(preface_left, bytes.size());
  if (bytes.substr(0, size) != kH2Preface.substr(kH2Preface.size() - preface_left, size)) {
    fail(H2Error::protocol_error, "no preface");
    return false;
  }
  bytes.remove_prefix(size);
  preface_left -= size;
  return preface_left == 0;
}

bool Machine::read_header(std::string_view& bytes) {
  if (bytes.empty()) return false;
  const char* at = bytes.data();
  if (header_size || bytes.size() < kFrameHeader) {
    const auto part = std::min(kFrameHeader - header_size, bytes.size());
    std::memcpy(header.data() + header_size, bytes.data(), part);
    header_size += part;
    bytes.remove_prefix(part);
    if (header_size < kFrameHeader) return false;
    header_size = 0;
    at = header.data();
  } else {
    bytes.remove_prefix(kFrameHeader);
  }
  const auto length_and_type = number({at, 4});
  frame = {.length = length_and_type >> 8,
           .type = static_cast<Type>(length_and_type & 0xff),
           .flags = static_cast<std::uint8_t>(at[4]),
           .stream = static_cast<std::int32_t>(number({at + 5, 4}) & 0x7fffffff)};
  return true;
}

/// What can be said of a frame by its header.
void Machine::begin_frame() {
  within_frame = true;
  payload_left = frame.length;
  const auto too_much = guard.arrived(static_cast<std::uint8_t>(frame.type), frame.flags, frame.length, now);
  if (!too_much.empty()) return fail(H2Error::enhance_your_calm, too_much);
  if (frame.length > kMostPayload) return fail(H2Error::frame_size_error, "frame too long");
  if (!settings_came && (frame.type != Type::settings || (frame.flags & kAck)))
    return fail(H2Error::protocol_error, "SETTINGS expected");
  settings_came = true;
  if (in_block && (frame.type != Type::continuation || frame.stream != block_stream))
    return fail(H2Error::protocol_error, "CONTINUATION expected");
  check_stream();
  check_size();
  if (frame.type == Type::data && !failed) begin_data();
}

void Machine::check_stream() {
  const bool on_connection = frame.stream == 0;
  const bool idle = frame.stream > highest || frame.stream % 2 == 0;
  switch (frame.type) {
    case Type::settings:
    case Type::ping:
    case Type::goaway:
      if (!on_connection) fail(H2Error::protocol_error, "frame of the connection on a stream");
      return;
    case Type::data:
    case Type::reset:
      if (on_connection) return fail(H2Error::protocol_error, "frame of a stream on the connection");
      if (idle) fail(H2Error::protocol_error, "stream idle");
      return;
    case Type::window:
      if (!on_connection && idle) fail(H2Error::protocol_error, "WINDOW_UPDATE: stream idle");
      return;
    case Type::headers:
    case Type::priority:
      if (on_connection) fail(H2Error::protocol_error, "frame of a stream on the connection");
      return;
    case Type::continuation:
      if (!in_block) fail(H2Error::protocol_error, "CONTINUATION: no header block");
      return;
    case Type::push: return fail(H2Error::protocol_error, "PUSH_PROMISE");
  }
}

void Machine::check_size() {
  const auto wrong = [&] {
    switch (frame.type) {
      case Type::settings: return (frame.flags & kAck) ? frame.length != 0 : frame.length % 6 != 0;
      case Type::ping: return frame.length != 8;
      case Type::goaway: return frame.length < 8;
      case Type::window:
      case Type::reset: return frame.length != 4;
      // Of PRIORITY the stream is at fault (section 6.3), and there is none to tell of it where it is idle.
      case Type::priority: return frame.length != 5 && frame.stream > highest;
      default: return false;
    }
  };
  if (wrong()) fail(H2Error::frame_size_error, "frame of a wrong length");
}

/// Content is handed on as it comes, and what is of no use is passed over; other frames are dealt with whole.
bool Machine::read_payload(std::string_view& bytes) {
  if (frame.type == Type::data) return read_data(bytes);
  const bool whole = payload.empty() && bytes.size() >= payload_left;
  const auto piece = bytes.substr(0, payload_left);
  bytes.remove_prefix(piece.size());
  payload_left -= piece.size();
  const bool used = frame.type <= Type::continuation;
  if (!whole && used) payload += piece;
  if (payload_left) return false;
  within_frame = false;
  frame_came(whole ? piece : std::string_view(payload));
  if (!whole) payload = {};
  return true;
}

void Machine::begin_data() {
  pad = 0;
  pad_due = frame.flags & kPadded;
  content_of = nullptr;
  if (pad_due && frame.length == 0) return fail(H2Error::frame_size_error, "DATA without its padding");
  if (frame.length > in_window) return fail(H2Error::flow_control_error, "more content than the window was open for");
  in_window -= frame.length;
  auto* stream = find(frame.stream);
  if (!stream) return content_of_closed();
  if (stream->doomed_) return;
  if (!stream->in_begun_) return break_stream(frame.stream, H2Error::protocol_error);
  if (stream->in_ended_) return break_stream(frame.stream, H2Error::stream_closed);
  if (frame.length > stream->in_window_) return break_stream(frame.stream, H2Error::flow_control_error);
  stream->in_window_ -= frame.length;
  content_of = stream;
}

bool Machine::read_data(std::string_view& bytes) {
  // Padding is read by nobody, but counts as content does (section 6.9.1).
  const auto pass_over = [&](std::size_t size) {
    bytes.remove_prefix(size);
    payload_left -= size;
    if (!content_of) return consumed_on_connection(size);
    content_of->unconsumed_ += size;
    consumed(*content_of, size);
  };
  if (pad_due) {
    if (bytes.empty()) return false;
    pad = static_cast<unsigned char>(bytes[0]);
    pad_due = false;
    pass_over(1);
    if (pad > payload_left) {
      fail(H2Error::protocol_error, "DATA: padding longer than the frame");
      return false;
    }
  }
  const auto piece = bytes.substr(0, payload_left - pad);
  bytes.remove_prefix(piece.size());
  payload_left -= piece.size();
  if (!piece.empty()) take_content(piece);
  if (payload_left > pad) return false;
  const auto padding = std::min(bytes.size(), pad);
  pass_over(padding);
  pad -= padding;
  if (pad) return false;
  within_frame = false;
  if (auto* stream = std::exchange(content_of, nullptr); stream && (frame.flags & kEndStream)) content_ended(*stream);
  return true;
}

void Machine::take_content(std::string_view piece) {
  if (content_of && content_of->doomed_) content_of = nullptr;
  if (content_of) {
    auto& stream = *content_of;
    stream.received_ += static_cast<std::int64_t>(piece.size());
    if (stream.declared_ < 0 || stream.received_ <= stream.declared_) {
      stream.unconsumed_ += piece.size();
      return stream.body(as_bytes(piece));
    }
    break_stream(stream.id_, H2Error::protocol_error);
  }
  consumed_on_connection(piece.size());
}

/// Content is as long as Content-Length says, or the message is malformed (section 8.1.1).
void Machine::content_ended(H2Stream& stream) {
  if (stream.doomed_) return;
  if (stream.declared_ >= 0 && stream.received_ != stream.declared_)
    return break_stream(stream.id_, H2Error::protocol_error);
  stream.in_ended_ = true;
  stream.body_ended();
  in_ended(stream);
}

void Machine::frame_came(std::string_view bytes) {
  switch (frame.type) {
    case Type::headers: return headers(bytes);
    case Type::continuation:
      block += bytes;
      if (!(frame.flags & kEndHeaders)) return;
      in_block = false;
      block_came(block);
      block = {};
      return;
    case Type::settings: return settings(bytes);
    case Type::ping: return ping(bytes);
    case Type::window: return window(bytes);
    case Type::reset: return reset_came(bytes);
    case Type::goaway: peer_leaves = true; return goaway_came(bytes);
    case Type::priority:
      if (bytes.size() != 5 && find(frame.stream)) return break_stream(frame.stream, H2Error::frame_size_error);
      depends_on_itself(bytes);
      return;
    default: return;  // unknown types are passed over (section 4.1)
  }
}

/// Priorities mean nothing here, but one that cannot be is an error all the same (RFC 7540, section 5.3.1). Such a
/// stream may be idle, hence the error is one of the connection.
bool Machine::depends_on_itself(std::string_view priority) {
  if (priority.size() < 5 || static_cast<std::int32_t>(number(priority) & 0x7fffffff) != frame.stream) return false;
  fail(H2Error::protocol_error, "a stream that depends on itself");
  return true;
}

void Machine::headers(std::string_view bytes) {
  const auto id = block_stream = frame.stream;
  block_ends_stream = frame.flags & kEndStream;
  std::size_t padding = 0;
  if (frame.flags & kPadded) {
    if (bytes.empty()) return fail(H2Error::frame_size_error, "HEADERS without its padding");
    padding = static_cast<unsigned char>(bytes[0]);
    bytes.remove_prefix(1);
  }
  if (frame.flags & kPrioritized) {
    if (bytes.size() < 5) return fail(H2Error::frame_size_error, "HEADERS without its priority");
    if (depends_on_itself(bytes)) return;
    bytes.remove_prefix(5);
  }
  if (padding > bytes.size()) return fail(H2Error::protocol_error, "HEADERS: padding longer than the frame");
  bytes.remove_suffix(padding);

  if (id % 2 == 0) return fail(H2Error::protocol_error, "HEADERS: a stream that is not the client's to open");
  purpose = purpose_of(id);
  if (failed) return;
  if (frame.flags & kEndHeaders) return block_came(bytes);
  in_block = true;
  block = bytes;
}

/// Whatever becomes of it, a block is read: both ends keep the same table (section 4.3).
void Machine::block_came(std::string_view bytes) {
  if (purpose == Purpose::head)
    head_came(bytes);
  else
    trailers_came(bytes);
  heads_in.end();
}

/// A block after which the connection cannot go on.
bool Machine::block_failed(H2HeadReader::Outcome outcome) {
  if (outcome == H2HeadReader::Outcome::broken)
    fail(H2Error::compression_error, "header block that is no HPACK");
  else if (outcome == H2HeadReader::Outcome::too_large)
    fail(H2Error::enhance_your_calm, "header list too large");
  return failed;
}

void Machine::trailers_came(std::string_view bytes) {
  std::span<const Header> fields;
  const auto outcome = heads_in.trailers(bytes, fields);
  if (block_failed(outcome)) return;
  auto* stream = find(block_stream);
  if (!stream || stream->doomed_ || purpose != Purpose::trailers) return;
  if (stream->in_ended_)
    break_stream(block_stream, H2Error::stream_closed);
  else if (outcome == H2HeadReader::Outcome::malformed || !block_ends_stream || stream->tunnel_)
    break_stream(block_stream, H2Error::protocol_error);
  else {
    if (!fields.empty()) stream->trailers(fields);
    content_ended(*stream);
  }
}

void Machine::settings(std::string_view bytes) {
  if (frame.flags & kAck) return told_settings_in_force();
  for (; !bytes.empty() && !failed; bytes.remove_prefix(6)) setting(number(bytes) >> 16, number(bytes.substr(2)));
  if (failed) return;
  settled = true;
  put_frame_header(control, 0, Type::settings, kAck, 0);
  answer_due();
}

void Machine::setting(std::uint32_t id, std::uint32_t value) {
  switch (id) {
    case 1: return writer.allow(value);
    case 2:  // ENABLE_PUSH
    case 8:  // ENABLE_CONNECT_PROTOCOL (RFC 8441)
    case 9:  // NO_RFC7540_PRIORITIES (RFC 9218)
      if (value > 1) return fail(H2Error::protocol_error, "SETTINGS: neither 0 nor 1");
      return own_setting(id, value);
    case 3: return own_setting(id, value);
    case 4: {
      if (value > kMostWindow) return fail(H2Error::flow_control_error, "SETTINGS: window too large");
      const auto more = value - first_out_window;
      first_out_window = value;
      each_stream([&](H2Stream& stream) {
        stream.out_window_ += more;
        if (stream.out_window_ > kMostWindow) fail(H2Error::flow_control_error, "SETTINGS: window too large");
        ready(stream);
      });
      return;
    }
    case 5:
      if (value < 16384 || value > 0xffffff) fail(H2Error::protocol_error, "SETTINGS: frame size");
      return;
    default: return;
  }
}

/// The peer has taken our settings: from here on the window of streams is the one we told (section 6.9.2).
void Machine::told_settings_in_force() {
  if (told_in_force) return fail(H2Error::protocol_error, "SETTINGS: acknowledged twice");
  told_in_force = true;
  const auto more = std::int64_t{options.stream_window} - kFirstWindow;
  each_stream([&](H2Stream& stream) { stream.in_window_ += more; });
}

void Machine::ping(std::string_view bytes) {
  if (frame.flags & kAck) return pong(bytes);
  put_frame_header(control, bytes.size(), Type::ping, kAck, 0);
  control += bytes;
  answer_due();
}

/// Answers that the peer does not read are not gathered for ever.
void Machine::answer_due() {
  const auto most = std::max<std::int64_t>(256, options.allowances.pings.limit + options.allowances.settings.limit);
  if (++answers > most) fail(H2Error::enhance_your_calm, "answers are not read");
}

void Machine::window(std::string_view bytes) {
  const auto more = std::int64_t{number(bytes) & 0x7fffffff};
  if (frame.stream == 0) {
    if (more == 0) return fail(H2Error::protocol_error, "WINDOW_UPDATE of 0");
    out_window += more;
    if (out_window > kMostWindow) fail(H2Error::flow_control_error, "WINDOW_UPDATE: window too large");
    return;
  }
  auto* stream = find(frame.stream);
  if (!stream) return;
  if (more == 0) return break_stream(frame.stream, H2Error::protocol_error);
  stream->out_window_ += more;
  if (stream->out_window_ > kMostWindow) return break_stream(frame.stream, H2Error::flow_control_error);
  ready(*stream);
}

void Machine::reset_came(std::string_view bytes) {
  auto* stream = find(frame.stream);
  if (!stream) return reset_of_closed();
  const auto why = static_cast<H2Error>(number(bytes));
  close(*stream, why == H2Error::no_error ? H2Error::cancel : why);  // whatever it says: the answer is not wanted
}

/// Resets a stream for what the peer did with it.
void Machine::break_stream(std::int32_t id, H2Error why) {
  put_reset(control, id, why);
  if (const auto too_much = guard.reset(now); !too_much.empty()) fail(H2Error::enhance_your_calm, too_much);
  if (auto* stream = find(id)) close(*stream, why);
}

}  // namespace plimsoll::http::h2
