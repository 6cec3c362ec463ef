#include "plimsoll/http/h2.hpp"

#include "plimsoll/http/h2_state.hpp"

#include <utility>

namespace plimsoll::http {

using h2::Type;

H2Preface h2_preface(std::string_view first_bytes) {
  const auto size = std::min(first_bytes.size(), kH2Preface.size());
  if (first_bytes.substr(0, size) != kH2Preface.substr(0, size)) return H2Preface::no;
  return size == kH2Preface.size() ? H2Preface::yes : H2Preface::not_yet;
}

H2Session::State::State(const H2Options& o, H2Requests& r)
    : options(o),
      requests(r),
      guard(o.allowances),
      in_window(std::max<std::int64_t>(o.connection_window, h2::kFirstWindow)) {
  say_settings();
}

void H2Session::State::say_settings() {
  const std::pair<std::uint16_t, std::uint32_t> settings[] = {
      {3, options.streams},
      {4, options.stream_window},
      {6, static_cast<std::uint32_t>(options.header_list)},
      {9, 1},  // nobody minds the priorities of RFC 7540
  };
  put_frame_header(control, std::size(settings) * 6, Type::settings, 0, 0);
  for (const auto& [id, value] : settings) {
    control += {static_cast<char>(id >> 8), static_cast<char>(id)};
    h2::put_number(control, value);
  }
  if (in_window > h2::kFirstWindow) put_window(0, static_cast<std::uint32_t>(in_window - h2::kFirstWindow));
}

void H2Session::State::put_frame_header(std::string& out, std::size_t size, Type type, std::uint8_t flags,
                                        std::int32_t id) {
  char header[h2::kFrameHeader];
  h2::put_header(header, size, type, flags, id);
  out.append(header, sizeof header);
}

void H2Session::State::put_window(std::int32_t id, std::uint32_t bytes) {
  put_frame_header(control, 4, Type::window, 0, id);
  h2::put_number(control, bytes);
}

void H2Session::State::fail(H2Error why, std::string_view debug) {
  if (failed) return;
  failed = true;
  complaint = debug;
  goaway(highest_taken, why, debug);
}

void H2Session::State::goaway(std::int32_t last, H2Error why, std::string_view debug) {
  put_frame_header(control, 8 + debug.size(), Type::goaway, 0, 0);
  h2::put_number(control, static_cast<std::uint32_t>(last));
  h2::put_number(control, static_cast<std::uint32_t>(why));
  control += debug;
}

void H2Session::State::put_reset(std::string& out, std::int32_t id, H2Error why) {
  put_frame_header(out, 4, Type::reset, 0, id);
  h2::put_number(out, static_cast<std::uint32_t>(why));
  reset_by_us[resets_by_us++ % reset_by_us.size()] = id;
}

void H2Session::State::take_in(H2Stream& stream, std::int32_t id, const H2Head& head) {
  stream.id_ = id;
  stream.in_ended_ = head.ended;
  stream.declared_ = head.content_length ? static_cast<std::int64_t>(*head.content_length) : -1;
  // Until the peer has acknowledged our settings it may send what the RFC allows to begin with.
  stream.in_window_ = told_in_force ? options.stream_window : h2::kFirstWindow;
  stream.out_window_ = first_out_window;
  auto& slot_of = slots[slot(id)];
  stream.same_slot_ = std::exchange(slot_of, &stream);
  ++open;
}

void H2Session::State::close(H2Stream& stream, H2Error why) {
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
  stream.fields_ = stream.more_ = {};
  stream.block_ = nullptr;
  stream.closed(why);
}

void H2Session::State::consumed(H2Stream& stream, std::size_t bytes) {
  stream.unconsumed_ -= bytes;
  consumed_on_connection(bytes);
  if (stream.in_ended_) return;
  stream.returned_ += bytes;
  if (stream.returned_ == 0 || stream.returned_ < options.stream_window / 2) return;
  stream.in_window_ += static_cast<std::int64_t>(stream.returned_);
  put_window(stream.id_, static_cast<std::uint32_t>(std::exchange(stream.returned_, 0)));
}

/// The peer is told when it is worth a frame.
void H2Session::State::consumed_on_connection(std::size_t bytes) {
  in_returned += static_cast<std::int64_t>(bytes);
  if (in_returned < std::max<std::int64_t>(options.connection_window, h2::kFirstWindow) / 2) return;
  in_window += in_returned;
  put_window(0, static_cast<std::uint32_t>(std::exchange(in_returned, 0)));
}

void H2Session::State::finish_drain() {
  if (drained || failed) return;
  drained = true;
  goaway(highest_taken, H2Error::no_error, {});
}

H2Session::H2Session(const H2Options& options, H2Requests& requests)
    : state_(std::make_unique<State>(options, requests)) {}
H2Session::~H2Session() = default;

bool H2Session::receive(Bytes bytes, Nanoseconds now) {
  auto& s = *state_;
  s.now = now;
  s.read(as_text(bytes));
  return !s.failed;
}

void H2Session::go_on(H2Stream& stream) {
  if (!stream.id_ || stream.status_) return;
  stream.go_on_ = true;
  state_->ready(stream);
}

void H2Session::respond(H2Stream& stream, std::uint16_t status, const Headers& headers, std::span<const Header> more,
                        bool content, const FieldBlock* block) {
  if (!stream.id_ || stream.status_) return;
  stream.status_ = status;
  stream.fields_ = {headers.begin(), headers.end()};
  stream.more_ = more;
  stream.block_ = block;
  stream.head_due_ = true;
  stream.content_ = content;
  state_->ready(stream);
}

void H2Session::supply(H2Stream& stream, Bytes piece, bool last) {
  if (!stream.id_) return;
  stream.piece_ = piece;
  stream.last_ = last;
  state_->ready(stream);
}

void H2Session::reset(H2Stream& stream, H2Error why) {
  if (!stream.id_ || stream.doomed_) return;
  stream.doomed_ = true;
  stream.why_ = why;
  state_->ready(stream);
}

void H2Session::consumed(H2Stream& stream, std::size_t bytes) {
  if (stream.id_) state_->consumed(stream, std::min(bytes, stream.unconsumed_));
}

void H2Session::drain() {
  auto& s = *state_;
  if (s.draining || s.failed) return;
  s.draining = true;
  // The answer to the PING says that whatever the peer began before it knew is here.
  s.goaway(static_cast<std::int32_t>(h2::kMostWindow), H2Error::no_error, {});
  s.put_frame_header(s.control, h2::kDrainPing.size(), Type::ping, 0, 0);
  s.control += h2::kDrainPing;
}

void H2Session::drain_now() {
  state_->draining = true;
  state_->finish_drain();
}

void H2Session::terminate(H2Error why, std::string_view debug) { state_->fail(why, debug); }

void H2Session::gather(std::string& out, std::size_t limit) {
  auto& s = *state_;
  const auto say = [&] {
    if (s.control.empty()) return;
    out += s.control;
    s.control.clear();
    s.answers = 0;
  };
  say();
  while (!s.failed && out.size() < limit) {
    auto* const next = s.heads.first ? s.heads.first : s.out_window > 0 ? s.content.first : nullptr;
    if (!next) break;
    s.write_next(*next, out);
  }
  say();
}

bool H2Session::wants_write() const {
  const auto& s = *state_;
  return !s.control.empty() || (!s.failed && (s.heads.first || (s.content.first && s.out_window > 0)));
}
bool H2Session::partial() const {
  const auto& s = *state_;
  return s.preface_left || s.header_size || s.within_frame || s.in_block;
}
bool H2Session::done() const {
  const auto& s = *state_;
  return s.control.empty() && (s.failed || (s.open == 0 && (s.drained || s.peer_leaves)));
}
std::string_view H2Session::complaint() const { return state_->complaint; }

}  // namespace plimsoll::http
