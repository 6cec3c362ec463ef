#include "plimsoll/http/h2_client.hpp"

#include "plimsoll/http/h2_machine.hpp"

#include <vector>

namespace plimsoll::http {

using h2::Type;

namespace {

/// Interim answers of one call: more are of no use to anybody.
constexpr std::uint32_t kMostInterim = 32;
/// What a client assumes until the other side has said how many streams it takes (section 6.5.2).
constexpr std::uint32_t kFirstStreams = 100;
constexpr std::string_view kPing = "are you?";

}  // namespace

/// The client's side: requests go, answers come.
struct H2ClientSession::State final : h2::Machine {
  std::int32_t next = 1;  ///< the stream of the next call
  std::uint32_t peer_streams = kFirstStreams;
  std::int32_t last_processed = static_cast<std::int32_t>(h2::kMostWindow);  ///< as GOAWAY said
  std::uint64_t pongs = 0;
  bool connects = false;  ///< the other side takes an extended CONNECT

  explicit State(const H2Options& o) : Machine(o) {
    control = kH2Preface;
    const std::pair<std::uint16_t, std::uint32_t> settings[] = {
        {2, 0},  // nothing is to be pushed
        {4, options.stream_window},
        {6, static_cast<std::uint32_t>(options.header_list)},
    };
    say_settings(settings);
  }

  static H2Call& call(H2Stream& stream) { return static_cast<H2Call&>(stream); }

  Purpose purpose_of(std::int32_t id) override;
  void head_came(std::string_view bytes) override;
  void answer_head(H2Call& call, H2AnswerHead& head);
  void in_ended(H2Stream& stream) override;
  void out_ended(H2Stream& stream, std::string& out) override;
  void own_setting(std::uint32_t id, std::uint32_t value) override;
  void pong(std::string_view bytes) override { pongs += bytes == kPing; }
  void goaway_came(std::string_view bytes) override;
  void write_head(H2Stream& stream, std::string& out) override;
  std::int32_t last_taken() const override { return 0; }  // nothing is pushed
};

/// Answers of streams that are over may have been under way; there are not many of them.
h2::Machine::Purpose H2ClientSession::State::purpose_of(std::int32_t id) {
  if (id > highest) {
    fail(H2Error::protocol_error, "HEADERS: stream idle");
    return Purpose::ignored;
  }
  if (const auto* stream = find(id)) return stream->in_begun_ ? Purpose::trailers : Purpose::head;
  if (const auto too_much = guard.reset(now); !too_much.empty()) fail(H2Error::enhance_your_calm, too_much);
  return Purpose::ignored;
}

void H2ClientSession::State::head_came(std::string_view bytes) {
  H2AnswerHead head;
  head.ended = block_ends_stream;
  const auto outcome = heads_in.response(bytes, head);
  if (block_failed(outcome)) return;
  auto* stream = find(block_stream);
  if (!stream) return;
  if (outcome == H2HeadReader::Outcome::malformed) return break_stream(block_stream, H2Error::protocol_error);
  answer_head(call(*stream), head);
}

void H2ClientSession::State::answer_head(H2Call& call, H2AnswerHead& head) {
  if (head.status < 200) {
    // An interim answer is no end, and of another protocol there is none here (section 8.6).
    if (head.ended || head.status == 101 || ++call.interim_ > kMostInterim)
      return break_stream(block_stream, H2Error::protocol_error);
    return call.head(head);
  }
  if (head.status > 599) return break_stream(block_stream, H2Error::protocol_error);
  const bool bodiless = call.without_body_ || head.status == 204 || head.status == 304;
  if (head.ended && !bodiless && head.content_length.value_or(0) != 0)
    return break_stream(block_stream, H2Error::protocol_error);
  if (head.status >= 300) call.tunnel_ = false;
  if (call.tunnel_) head.content_length.reset();  // says nothing of what follows (RFC 9110, section 9.3.6)
  call.declared_ = bodiless ? 0 : head.content_length ? static_cast<std::int64_t>(*head.content_length) : -1;
  call.in_begun_ = true;
  call.head(head);
  if (!head.ended) return;
  call.in_ended_ = true;
  call.body_ended();
  in_ended(call);
}

/// Where the answer is whole, the rest of the request is of no use.
void H2ClientSession::State::in_ended(H2Stream& stream) {
  if (stream.tunnel_ && stream.out_begun_) return;
  if (stream.out_begun_) put_reset(control, stream.id_, H2Error::cancel);
  close(stream, H2Error::no_error);
}

void H2ClientSession::State::out_ended(H2Stream& stream, std::string&) {
  stream.out_begun_ = stream.last_ = false;  // nothing of it goes any more
  call(stream).request_written();
  if (stream.tunnel_ && stream.in_ended_) close(stream, H2Error::no_error);
}

void H2ClientSession::State::own_setting(std::uint32_t id, std::uint32_t value) {
  if (id == 3) peer_streams = value;
  if (id == 8) {
    if (connects && !value) fail(H2Error::protocol_error, "SETTINGS: extended CONNECT is taken back");
    connects = value;
  }
  if (id == 2 && value) fail(H2Error::protocol_error, "SETTINGS: a server enables push");
}

/// What the other side has not taken and will not is over, and may be sent elsewhere (section 6.8).
void H2ClientSession::State::goaway_came(std::string_view bytes) {
  const auto last = static_cast<std::int32_t>(h2::number(bytes) & 0x7fffffff);
  if (last > last_processed) return fail(H2Error::protocol_error, "GOAWAY: takes streams that it had refused");
  last_processed = last;
  if (complaint.empty()) complaint = bytes.substr(8, 64);
  std::vector<H2Stream*> refused;
  each_stream([&](H2Stream& stream) {
    if (stream.id_ > last) refused.push_back(&stream);
  });
  for (auto* stream : refused) close(*stream, H2Error::refused_stream);
}

void H2ClientSession::State::write_head(H2Stream& stream, std::string& out) {
  auto& made = call(stream);
  const auto& head = made.request_;
  const auto begin = out.size();
  out.append(h2::kFrameHeader, '\0');
  writer.begin(out);
  writer.request(head.method, head.scheme, head.authority, head.path, out);
  if (!head.protocol.empty()) writer.field(":protocol", head.protocol, out);
  write_fields(stream.fields_, out);
  writer.fields(stream.more_, out);
  end_block(out, begin, stream.id_, stream.content_ ? 0 : h2::kEndStream);
  highest = stream.id_;
  made.head_written();
}

H2ClientSession::H2ClientSession(const H2Options& options) : state_(std::make_unique<State>(options)) {}
H2ClientSession::~H2ClientSession() = default;

bool H2ClientSession::receive(Bytes bytes, Nanoseconds now) {
  auto& s = *state_;
  s.now = now;
  s.read(as_text(bytes));
  return !s.failed;
}

bool H2ClientSession::usable() const {
  const auto& s = *state_;
  return !s.failed && !s.peer_leaves && s.next < static_cast<std::int32_t>(h2::kMostWindow) - 1;
}
std::size_t H2ClientSession::open() const { return state_->open; }
bool H2ClientSession::settled() const { return state_->settled; }
bool H2ClientSession::connects() const { return state_->connects; }
std::size_t H2ClientSession::limit() const { return std::min(state_->options.streams, state_->peer_streams); }

void H2ClientSession::request(H2Call& call, const H2RequestHead& head, bool content) {
  auto& s = *state_;
  call.request_ = head;
  call.without_body_ = head.method == "HEAD";
  call.tunnel_ = !head.protocol.empty();
  call.fields_ = head.fields;
  call.more_ = head.more;
  call.out_begun_ = call.head_due_ = true;
  call.content_ = content;
  // Numbers go up in the order in which heads are written: that of this call, because they wait in one line.
  s.take_in(call, std::exchange(s.next, s.next + 2));
  s.ready(call);
}

void H2ClientSession::supply(H2Call& call, Bytes piece, bool last) {
  if (!call.id_ || !call.out_begun_) return;
  call.piece_ = piece;
  call.last_ = last;
  state_->ready(call);
}

void H2ClientSession::trail(H2Call& call, std::span<const Header> fields) {
  if (call.id_ && call.out_begun_) call.trailers_ = fields;
}

void H2ClientSession::abandon(H2Call& call, H2Error why) {
  if (!call.id_) return;
  auto& s = *state_;
  if (!call.head_due_ && !s.failed) s.put_reset(s.control, call.id_, why);
  s.close(call, why);
}

void H2ClientSession::forget(H2Call& call) noexcept {
  if (!call.id_) return;
  call.unconsumed_ = 0;  // nobody is told of windows any more
  state_->close(call, H2Error::cancel);
}

void H2ClientSession::consumed(H2Call& call, std::size_t bytes) {
  if (call.id_) state_->consumed(call, std::min(bytes, call.unconsumed_));
}

void H2ClientSession::ping() {
  auto& s = *state_;
  s.put_frame_header(s.control, kPing.size(), Type::ping, 0, 0);
  s.control += kPing;
}
std::uint64_t H2ClientSession::pongs() const { return state_->pongs; }

void H2ClientSession::terminate(H2Error why, std::string_view debug) { state_->fail(why, debug); }
void H2ClientSession::gather(std::string& out, std::size_t limit) { state_->gather(out, limit); }
bool H2ClientSession::wants_write() const { return state_->wants_write(); }
std::string_view H2ClientSession::complaint() const { return state_->complaint; }

}  // namespace plimsoll::http
