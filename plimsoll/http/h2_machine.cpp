#include "plimsoll/http/h2_machine.hpp"

namespace plimsoll::http::h2 {

Machine::Machine(const H2Options& o)
    : options(o), guard(o.allowances), in_window(std::max<std::int64_t>(o.connection_window, kFirstWindow)) {}

/// What stands before all else: our settings, and how much may come on the connection as a whole.
void Machine::say_settings(std::span<const std::pair<std::uint16_t, std::uint32_t>> settings) {
  put_frame_header(control, settings.size() * 6, Type::settings, 0, 0);
  for (const auto& [id, value] : settings) {
    control += {static_cast<char>(id >> 8), static_cast<char>(id)};
    put_number(control, value);
  }
  if (in_window > kFirstWindow) put_window(0, static_cast<std::uint32_t>(in_window - kFirstWindow));
}

void Machine::put_frame_header(std::string& out, std::size_t size, Type type, std::uint8_t flags, std::int32_t id) {
  char bytes[kFrameHeader];
  put_header(bytes, size, type, flags, id);
  out.append(bytes, sizeof bytes);
}

void Machine::put_window(std::int32_t id, std::uint32_t bytes) {
  put_frame_header(control, 4, Type::window, 0, id);
  put_number(control, bytes);
}

void Machine::fail(H2Error why, std::string_view debug) {
  if (failed) return;
  failed = true;
  complaint = debug;
  goaway(last_taken(), why, debug);
}

void Machine::goaway(std::int32_t last, H2Error why, std::string_view debug) {
  put_frame_header(control, 8 + debug.size(), Type::goaway, 0, 0);
  put_number(control, static_cast<std::uint32_t>(last));
  put_number(control, static_cast<std::uint32_t>(why));
  control += debug;
}

void Machine::put_reset(std::string& out, std::int32_t id, H2Error why) {
  put_frame_header(out, 4, Type::reset, 0, id);
  put_number(out, static_cast<std::uint32_t>(why));
  reset_by_us[resets_by_us++ % reset_by_us.size()] = id;
}

void Machine::take_in(H2Stream& stream, std::int32_t id) {
  stream.id_ = id;
  // Until the peer has acknowledged our settings it may send what the RFC allows to begin with.
  stream.in_window_ = told_in_force ? options.stream_window : kFirstWindow;
  stream.out_window_ = first_out_window;
  auto& slot_of = slots[slot(id)];
  stream.same_slot_ = std::exchange(slot_of, &stream);
  ++open;
}

void Machine::close(H2Stream& stream, H2Error why) {
  auto** at = &slots[slot(stream.id_)];
  while (*at != &stream) at = &(*at)->same_slot_;
  *at = stream.same_slot_;
  --open;
  put_in(stream, Queue::none);
  if (content_of == &stream) content_of = nullptr;
  // What nobody will read any more must not keep the window of the others shut.
  consumed_on_connection(std::exchange(stream.unconsumed_, 0));
  stream.id_ = 0;
  stream.piece_ = {};
  stream.fields_ = stream.more_ = stream.trailers_ = {};
  stream.block_ = nullptr;
  stream.interim_ = nullptr;
  stream.closed(why);
}

void Machine::consumed(H2Stream& stream, std::size_t bytes) {
  stream.unconsumed_ -= bytes;
  consumed_on_connection(bytes);
  if (stream.in_ended_) return;
  stream.returned_ += bytes;
  if (stream.returned_ == 0 || stream.returned_ < options.stream_window / 2) return;
  stream.in_window_ += static_cast<std::int64_t>(stream.returned_);
  put_window(stream.id_, static_cast<std::uint32_t>(std::exchange(stream.returned_, 0)));
}

/// The peer is told when it is worth a frame.
void Machine::consumed_on_connection(std::size_t bytes) {
  in_returned += static_cast<std::int64_t>(bytes);
  if (in_returned < std::max<std::int64_t>(options.connection_window, kFirstWindow) / 2) return;
  in_window += in_returned;
  put_window(0, static_cast<std::uint32_t>(std::exchange(in_returned, 0)));
}

}  // namespace plimsoll::http::h2
