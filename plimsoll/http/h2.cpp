#include "plimsoll/http/h2.hpp"

#include "plimsoll/http/field_block.hpp"
#include "plimsoll/http/h2_machine.hpp"

#include <utility>

namespace plimsoll::http {

using h2::Type;

namespace {

/// What is taken of a request after its answer is complete, before the rest is asked off: a client that writes and
/// reads by turns finds the answer before the reset.
constexpr std::uint32_t kLingered = 256 * 1024;

/// A stream that is answered, and of whose request the rest is on its way.
struct Lingering {
  std::int32_t id = 0;  ///< 0: none
  std::uint32_t left = 0;
};

}  // namespace

H2Preface h2_preface(std::string_view first_bytes) {
  const auto size = std::min(first_bytes.size(), kH2Preface.size());
  if (first_bytes.substr(0, size) != kH2Preface.substr(0, size)) return H2Preface::no;
  return size == kH2Preface.size() ? H2Preface::yes : H2Preface::not_yet;
}

/// The server's side: requests come, answers go.
struct H2Session::State final : h2::Machine {
  H2Requests& requests;
  std::int32_t highest_taken = 0;  ///< of the streams that were opened: not refused
  /// Between these two is what the client passed over when it last did, and will never open (section 5.1.1).
  std::int32_t passed_from = 0, passed_to = 0;

  State(const H2Options& o, H2Requests& r) : Machine(o), requests(r) {
    preface_left = kH2Preface.size();
    const std::pair<std::uint16_t, std::uint32_t> settings[] = {
        {3, options.streams},
        {4, options.stream_window},
        {6, static_cast<std::uint32_t>(options.header_list)},
        {9, 1},  // nobody minds the priorities of RFC 7540
        {8, 1},
    };
    say_settings(std::span(settings).first(options.extended_connect ? 5 : 4));
  }

  std::array<Lingering, 16> lingering{};
  std::size_t lingered = 0;

  Lingering* find_lingering(std::int32_t id) {
    const auto found = std::ranges::find(lingering, id, &Lingering::id);
    return found == lingering.end() ? nullptr : &*found;
  }
  void linger(const H2Stream& stream, std::string& out);
  Purpose purpose_of(std::int32_t id) override;
  void head_came(std::string_view bytes) override;
  void content_of_closed() override;
  void reset_of_closed() override {
    if (auto* stream = find_lingering(frame.stream)) *stream = {};
  }
  void in_ended(H2Stream& stream) override {
    if (stream.half_ended_) close(stream, H2Error::no_error);
  }
  void out_ended(H2Stream& stream, std::string& out) override;
  void own_setting(std::uint32_t, std::uint32_t) override {}
  void pong(std::string_view bytes) override {
    if (draining && bytes == h2::kDrainPing) finish_drain();
  }
  void goaway_came(std::string_view) override {}
  void write_head(H2Stream& stream, std::string& out) override;
  std::int32_t last_taken() const override { return highest_taken; }
  void finish_drain();
};

h2::Machine::Purpose H2Session::State::purpose_of(std::int32_t id) {
  if (id > highest) {
    if (id > highest + 2) passed_from = highest, passed_to = id;
    highest = id;
    return drained ? Purpose::ignored : Purpose::head;  // what GOAWAY said is not served
  }
  if (find(id)) return Purpose::trailers;
  if (auto* stream = find_lingering(id)) {
    if (block_ends_stream) *stream = {};
    return Purpose::ignored;
  }
  // The peer may not have known.
  if (was_reset(id)) return Purpose::ignored;
  if (id > passed_from && id < passed_to)
    fail(H2Error::protocol_error, "HEADERS: a lower stream than before");
  else
    fail(H2Error::stream_closed, "HEADERS: stream closed");
  return Purpose::ignored;
}

void H2Session::State::head_came(std::string_view bytes) {
  H2Head head;
  head.ended = block_ends_stream;
  const auto outcome = heads_in.request(bytes, head);
  if (block_failed(outcome)) return;
  if (outcome == H2HeadReader::Outcome::malformed) return break_stream(block_stream, H2Error::protocol_error);
  if (open >= options.streams) return break_stream(block_stream, H2Error::refused_stream);
  auto* stream = requests.request(head);
  // There is no room for it here: that is nothing the peer did, and does not count against it.
  if (!stream) return put_reset(control, block_stream, H2Error::refused_stream);
  highest_taken = block_stream;
  stream->in_begun_ = true;
  stream->in_ended_ = head.ended;
  stream->tunnel_ = !head.protocol.empty();
  stream->declared_ = head.content_length ? static_cast<std::int64_t>(*head.content_length) : -1;
  take_in(*stream, block_stream);
}

/// The answer is complete, and the rest of the request is of no use (section 8.1).
void H2Session::State::out_ended(H2Stream& stream, std::string& out) {
  if (stream.half_ended_ && !stream.in_ended_) {
    stream.out_begun_ = false;
    return;
  }
  if (!stream.in_ended_ && stream.tunnel_)  // nothing stands behind its content
    put_reset(out, stream.id_, H2Error::no_error);
  else if (!stream.in_ended_)
    linger(stream, out);
  close(stream, H2Error::no_error);
}

/// A client to which a reset comes while it writes may lose the answer that stands before it. So the rest of the
/// request is taken and thrown away for a while; of many such streams the eldest is reset.
void H2Session::State::linger(const H2Stream& stream, std::string& out) {
  auto& eldest = lingering[lingered++ % lingering.size()];
  if (eldest.id) put_reset(out, eldest.id, H2Error::no_error);
  eldest = {stream.id_, kLingered};
  const auto unread = stream.unconsumed_ + stream.returned_;
  if (unread) put_window(stream.id_, static_cast<std::uint32_t>(unread));
}

void H2Session::State::content_of_closed() {
  auto* stream = find_lingering(frame.stream);
  if (!stream) {  // what was taken and not reset by the server the client has ended: nothing more comes (section 5.1)
    if (frame.stream <= highest_taken && !was_reset(frame.stream)) break_stream(frame.stream, H2Error::stream_closed);
    return;
  }
  if (frame.flags & h2::kEndStream) {
    *stream = {};
  } else if (frame.length > stream->left) {
    *stream = {};
    put_reset(control, frame.stream, H2Error::no_error);
  } else if (frame.length) {
    stream->left -= frame.length;
    put_window(frame.stream, frame.length);
  }
}

void H2Session::State::write_head(H2Stream& stream, std::string& out) {
  const auto begin = out.size();
  out.append(h2::kFrameHeader, '\0');
  writer.begin(out);
  writer.status(stream.status_, out);
  write_fields(stream.fields_, out);
  for (const auto* block = stream.block_; block; block = block->before) {
    if (block->unchanging)
      writer.fields(block->unchanging, block->fields, out);
    else
      writer.fields(block->fields, out);
  }
  writer.fields(stream.more_, out);
  end_block(out, begin, stream.id_, stream.content_ ? 0 : h2::kEndStream);
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
  if (!stream.id_ || stream.out_begun_) return;
  stream.go_on_ = true;
  state_->ready(stream);
}

void H2Session::inform(H2Stream& stream, H2Interim& interim) {
  if (!stream.id_ || stream.out_begun_) return;
  (stream.interim_ ? stream.last_interim_->next : stream.interim_) = &interim;
  stream.last_interim_ = &interim;
  state_->ready(stream);
}

void H2Session::respond(H2Stream& stream, std::uint16_t status, const Headers& headers, std::span<const Header> more,
                        bool content, const FieldBlock* block) {
  if (!stream.id_ || stream.out_begun_) return;
  stream.status_ = status;
  stream.out_begun_ = true;
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

void H2Session::trail(H2Stream& stream, std::span<const Header> fields) {
  if (stream.id_) stream.trailers_ = fields;
}

void H2Session::finish(H2Stream& stream) {
  stream.half_ended_ = true;
  supply(stream, {}, true);
}

void H2Session::end(H2Stream& stream) {
  if (!stream.out_begun_) return reset(stream, H2Error::no_error);
  stream.half_ended_ = false;
  supply(stream, {}, true);
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

void H2Session::gather(std::string& out, std::size_t limit) { state_->gather(out, limit); }
bool H2Session::wants_write() const { return state_->wants_write(); }
bool H2Session::partial() const { return state_->partial(); }
bool H2Session::done() const {
  const auto& s = *state_;
  return s.control.empty() && (s.failed || (s.open == 0 && (s.drained || s.peer_leaves)));
}
std::string_view H2Session::complaint() const { return state_->complaint; }

}  // namespace plimsoll::http
