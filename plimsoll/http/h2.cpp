#include "plimsoll/http/h2.hpp"

#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_block.hpp"
#include "plimsoll/http/field_check.hpp"
#include "plimsoll/http/h1_head.hpp"
#include "plimsoll/http/h2_memory.hpp"
#include "plimsoll/http/hpack_writer.hpp"
#include "plimsoll/http/target.hpp"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <vector>

namespace plimsoll::http {
namespace {

constexpr std::size_t kFrameHeader = 9;  // bytes (RFC 9113, section 4.1)
constexpr std::uint8_t kDrainPing[8] = {'g', 'o', 'i', 'n', 'g', ' ', 'u', 'p'};

/// The one field that nghttp2 is told of: what it makes of it is replaced (State::write_head).
nghttp2_nv any_status() {
  static std::uint8_t name[] = ":status", value[] = "200";
  return {name, value, sizeof name - 1, sizeof value - 1, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

std::string_view view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

bool peers_fault(std::uint32_t code) {
  switch (code) {
    case NGHTTP2_PROTOCOL_ERROR:
    case NGHTTP2_FLOW_CONTROL_ERROR:
    case NGHTTP2_STREAM_CLOSED:
    case NGHTTP2_FRAME_SIZE_ERROR:
    case NGHTTP2_REFUSED_STREAM:
    case NGHTTP2_COMPRESSION_ERROR: return true;
    default: return false;
  }
}

/// The fields of one header block while they are decoded. Only one block is under way on a connection at a time, so
/// this is kept and used again.
struct Block {
  struct Field {
    std::size_t at, name, value;
  };
  std::string text, cookies;
  std::vector<Field> fields;
  std::vector<Header> views;
  std::size_t size = 0, count = 0;  ///< of all fields, stored or not, as RFC 9113, section 6.5.2 counts
  const Problem* refusal = nullptr;

  void begin() {
    constexpr std::size_t kKept = 8 << 10;
    if (text.capacity() > kKept) text = {}, cookies = {}, fields = {}, views = {};
    text.clear(), cookies.clear(), fields.clear(), views.clear();
    size = count = 0;
    refusal = nullptr;
  }
  void add(std::string_view name, std::string_view value) {
    fields.push_back({text.size(), name.size(), value.size()});
    text += name;
    text += value;
  }
  Header field(const Field& f) const {
    const std::string_view all = text;
    return {all.substr(f.at, f.name), all.substr(f.at + f.name, f.value)};
  }
};

}  // namespace

H2Preface h2_preface(std::string_view first_bytes) {
  const auto size = std::min(first_bytes.size(), kH2Preface.size());
  if (first_bytes.substr(0, size) != kH2Preface.substr(0, size)) return H2Preface::no;
  return size == kH2Preface.size() ? H2Preface::yes : H2Preface::not_yet;
}

struct H2Session::State {
  const H2Options options;
  H2Requests& requests;
  H2Guard guard;
  nghttp2_session* session = nullptr;
  Nanoseconds now = 0;
  bool failed = false, draining = false, drained = false;
  std::string complaint;
  Block block;
  std::size_t to_skip = kH2Preface.size();  ///< bytes until the next frame header
  std::uint8_t frame_header[kFrameHeader];
  std::size_t frame_header_size = 0;
  bool in_block = false;
  std::int32_t highest = 0;                    ///< stream opened by the peer
  std::array<std::int32_t, 64> reset_by_us{};  ///< the last of them
  std::size_t resets_by_us = 0;
  HpackWriter writer;
  std::string lower_name, block_out;
  std::string* out = nullptr;
  std::size_t out_limit = 0;

  State(const H2Options& o, H2Requests& r) : options(o), requests(r), guard(o.allowances) {}
  ~State() { nghttp2_session_del(session); }
  State(const State&) = delete;

  void begin();
  void fail(H2Error why, std::string_view debug);
  void flood(std::string_view what) {
    if (!what.empty()) fail(H2Error::enhance_your_calm, what);
  }
  void watch(std::string_view bytes);
  void stream_named(std::int32_t id);
  int field(std::string_view name, std::string_view value);
  void head(std::int32_t id, bool ended);
  bool read_head(H2Head& out);
  void abandon(std::int32_t id, std::uint32_t why) { nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, why); }
  H2Stream* stream(std::int32_t id) {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }
  void submit(H2Stream& stream, bool content);
  void encode_head(std::int32_t id);
  void write_head(const std::uint8_t* frame_header);
  void write_fields(std::span<const Header> fields, std::string& to);
  void finish_drain();
  ssize_t offer(H2Stream& stream, std::size_t room, std::uint32_t* flags);
  int take(H2Stream& stream, const std::uint8_t* frame_header, std::size_t size);
  void closed(std::int32_t id, std::uint32_t why);

  static State& of(void* user) { return *static_cast<State*>(user); }
  static const nghttp2_session_callbacks* callbacks();
};

const nghttp2_session_callbacks* H2Session::State::callbacks() {
  static const auto* made = [] {
    nghttp2_session_callbacks* c = nullptr;
    nghttp2_session_callbacks_new(&c);
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, [](nghttp2_session*, const nghttp2_frame_hd* hd, void* u) {
      auto& s = of(u);
      if (hd->type == NGHTTP2_HEADERS) s.stream_named(hd->stream_id);
      return s.failed ? int{NGHTTP2_ERR_CALLBACK_FAILURE} : 0;
    });
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, [](nghttp2_session*, const nghttp2_frame*, void* u) {
      of(u).block.begin();
      return 0;
    });
    nghttp2_session_callbacks_set_on_header_callback(
        c, [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
              const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* u) {
          auto& s = of(u);
          auto& block = s.block;
          block.size += name_size + value_size + 32;
          ++block.count;
          // A block that goes on and on beyond what was told is not a mistake any more.
          if (block.size > s.options.header_list * 8) s.fail(H2Error::enhance_your_calm, "header list too large");
          if (s.failed) return int{NGHTTP2_ERR_CALLBACK_FAILURE};
          if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;  // trailers are read and forgotten
          return s.field(view(name, name_size), view(value, value_size));
        });
    // Without this nghttp2 would leave out an invalid field and go on; the request is malformed (section 8.2.1).
    nghttp2_session_callbacks_set_on_invalid_header_callback(
        c, [](nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t, const std::uint8_t*,
              std::size_t, std::uint8_t, void*) { return int{NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE}; });
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, [](nghttp2_session*, const nghttp2_frame* frame, void* u) {
      auto& s = of(u);
      const bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
      if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        s.head(frame->hd.stream_id, ended);
      } else if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && ended) {
        if (auto* stream = s.stream(frame->hd.stream_id)) stream->body_ended();
      } else if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
        for (std::size_t i = 0; i < frame->settings.niv; ++i)
          if (frame->settings.iv[i].settings_id == NGHTTP2_SETTINGS_HEADER_TABLE_SIZE)
            s.writer.allow(frame->settings.iv[i].value);
      } else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) && s.draining) {
        if (std::memcmp(frame->ping.opaque_data, kDrainPing, sizeof kDrainPing) == 0) s.finish_drain();
      }
      return s.failed ? int{NGHTTP2_ERR_CALLBACK_FAILURE} : 0;
    });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        c, [](nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size,
              void* u) {
          if (auto* stream = of(u).stream(id)) {
            // nghttp2 gives even what breaks flow control, and resets the stream then: nobody has room for it.
            const auto window = nghttp2_session_get_stream_effective_local_window_size(session, id);
            if (stream->unconsumed_ + size > static_cast<std::size_t>(std::max(window, 0))) return 0;
            stream->unconsumed_ += size;
            stream->body(std::as_bytes(std::span(data, size)));
          } else {
            nghttp2_session_consume(session, id, size);
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_stream_close_callback(
        c, [](nghttp2_session*, std::int32_t id, std::uint32_t why, void* u) {
          of(u).closed(id, why);
          return 0;
        });
    // Once a frame without content is handed out its stream may be closed, and what its head is made of be gone.
    nghttp2_session_callbacks_set_before_frame_send_callback(c,
                                                             [](nghttp2_session*, const nghttp2_frame* frame, void* u) {
                                                               if (frame->hd.type == NGHTTP2_HEADERS)
                                                                 of(u).encode_head(frame->hd.stream_id);
                                                               return 0;
                                                             });
    nghttp2_session_callbacks_set_on_frame_send_callback(
        c, [](nghttp2_session* session, const nghttp2_frame* frame, void* u) {
          auto& s = of(u);
          const auto id = frame->hd.stream_id;
          const bool content = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
          if (content && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
            // The answer is complete and the rest of the request is of no use (section 8.1).
            if (nghttp2_session_get_stream_remote_close(session, id) == 0) s.abandon(id, NGHTTP2_NO_ERROR);
          } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
            s.reset_by_us[s.resets_by_us++ % s.reset_by_us.size()] = id;
            if (peers_fault(frame->rst_stream.error_code)) s.flood(s.guard.reset(s.now));
            // Whoever breaks flow control once breaks it for all: section 6.9.2 wants the connection ended where a
            // setting did it, and nghttp2 does not tell which it was.
            if (frame->rst_stream.error_code == NGHTTP2_FLOW_CONTROL_ERROR)
              s.fail(H2Error::flow_control_error, "flow control broken");
          } else if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code) {
            s.failed = true;
            if (s.complaint.empty()) s.complaint = view(frame->goaway.opaque_data, frame->goaway.opaque_data_len);
            if (s.complaint.empty()) s.complaint = nghttp2_http2_strerror(frame->goaway.error_code);
          } else if (frame->hd.type == NGHTTP2_GOAWAY && s.draining && !s.drained) {
            // Its answer says that whatever the peer began before it knew is here.
            nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, kDrainPing);
          }
          return 0;
        });
    nghttp2_session_callbacks_set_send_data_callback(
        c, [](nghttp2_session*, nghttp2_frame*, const std::uint8_t* frame_header, std::size_t size,
              nghttp2_data_source* source,
              void* u) { return of(u).take(*static_cast<H2Stream*>(source->ptr), frame_header, size); });
    return c;
  }();
  return made;
}

void H2Session::State::begin() {
  nghttp2_option* option = nullptr;
  if (nghttp2_option_new(&option)) throw std::bad_alloc();
  nghttp2_option_set_no_auto_window_update(option, 1);  // windows open by what is consumed
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_reserved_remote_streams(option, 0);
  // What waits to be acknowledged: never fewer than may come at once.
  const auto at_once = options.allowances.pings.limit + options.allowances.settings.limit;
  nghttp2_option_set_max_outbound_ack(option, static_cast<std::size_t>(std::max<std::int64_t>(256, at_once)));
  const auto made = nghttp2_session_server_new3(&session, callbacks(), this, option, h2_memory());
  nghttp2_option_del(option);
  if (made) throw std::bad_alloc();
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(options.header_list)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings)) ||
      nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                            static_cast<std::int32_t>(options.connection_window)))
    throw std::bad_alloc();
}

void H2Session::State::fail(H2Error why, std::string_view debug) {
  if (failed) return;
  failed = true;
  complaint = debug;
  // A shutdown that was under way must not stand in the way of this last word.
  nghttp2_session_terminate_session2(session, nghttp2_session_get_last_proc_stream_id(session),
                                     static_cast<std::uint32_t>(why));
}

/// Shows each frame header to the guard. nghttp2 tells of those it knows only, and not before it has dealt with them.
void H2Session::State::watch(std::string_view bytes) {
  while (!bytes.empty() && !failed) {
    const auto skipped = std::min(to_skip, bytes.size());
    to_skip -= skipped;
    bytes.remove_prefix(skipped);
    const auto part = std::min(kFrameHeader - frame_header_size, bytes.size());
    std::memcpy(frame_header + frame_header_size, bytes.data(), part);
    frame_header_size += part;
    bytes.remove_prefix(part);
    if (frame_header_size < kFrameHeader) return;
    frame_header_size = 0;
    to_skip = static_cast<std::size_t>(frame_header[0] << 16 | frame_header[1] << 8 | frame_header[2]);
    if (frame_header[3] == NGHTTP2_HEADERS || frame_header[3] == NGHTTP2_CONTINUATION)
      in_block = !(frame_header[4] & NGHTTP2_FLAG_END_HEADERS);
    const bool on_connection = !(frame_header[5] & 0x7f) && !frame_header[6] && !frame_header[7] && !frame_header[8];
    if (frame_header[3] == NGHTTP2_PRIORITY && on_connection)  // nghttp2 passes over this frame (section 6.3)
      return fail(H2Error::protocol_error, "PRIORITY: stream 0");
    flood(guard.arrived(frame_header[3], frame_header[4], to_skip, now));
  }
}

/// nghttp2 passes over HEADERS of streams that are closed. That is right only where the peer may not know it yet,
/// because we reset the stream; else it reuses an identifier (sections 5.1 and 5.1.1).
void H2Session::State::stream_named(std::int32_t id) {
  if (id > highest) {
    highest = id;
  } else if (!nghttp2_session_find_stream(session, id) && std::ranges::find(reset_by_us, id) == reset_by_us.end()) {
    fail(H2Error::stream_closed, "HEADERS: stream closed");
  }
}

int H2Session::State::field(std::string_view name, std::string_view value) {
  if (block.size > options.header_list || block.count > options.header_count) block.refusal = &h1::kHeadTooLarge;
  if (name == ":path" && value.size() > options.target && !block.refusal) block.refusal = &h1::kTargetTooLong;
  if (!block.refusal || name.starts_with(':')) block.add(name, value);
  return 0;
}

/// Checks what nghttp2 does not, and fills `out`. False: malformed (section 8.1.1).
bool H2Session::State::read_head(H2Head& out) {
  bool has_authority = false, has_cookie = false;
  std::string_view host;
  std::size_t hosts = 0, cookie_at = 0;
  for (auto& stored : block.fields) {
    const auto field = block.field(stored);
    if (field.name == ":method") {
      out.method = field.value;
    } else if (field.name == ":scheme") {
      out.scheme = field.value;
    } else if (field.name == ":authority") {
      out.authority = field.value, has_authority = true;
    } else if (field.name == ":path") {
      out.path = field.value;
    } else if (field.name == "cookie") {  // crumbs are one field again (section 8.2.3)
      if (!has_cookie) has_cookie = true, cookie_at = block.views.size(), block.views.push_back({"cookie", {}});
      if (!block.cookies.empty()) block.cookies += "; ";
      block.cookies += field.value;
    } else {
      if (field.name == "host") host = field.value, ++hosts;
      block.views.push_back(field);
    }
  }
  if (has_cookie) block.views[cookie_at].value = block.cookies;
  out.fields = block.views;

  if (!is_token(out.method) || hosts > 1) return false;
  if (!has_authority) out.authority = host;
  if (hosts == 1 && has_authority &&
      !std::ranges::equal(host, out.authority, [](char a, char b) { return lower(a) == lower(b); }))
    return false;
  // User information is refused here with everything else that is no host and port (section 8.3.1).
  if (!is_authority(out.authority)) return false;
  if (out.method == "CONNECT") return out.refusal = &h1::kMethodUnknown, true;
  if (out.scheme != "http" && out.scheme != "https") return false;
  if (out.refusal == &h1::kTargetTooLong) return true;
  const auto target = split_target(out.path);
  if (!target || target->form == Target::Form::absolute) return false;
  return target->form == Target::Form::origin || out.method == "OPTIONS";
}

void H2Session::State::head(std::int32_t id, bool ended) {
  H2Head head;
  head.ended = ended;
  head.refusal = block.refusal;
  if (!read_head(head)) return abandon(id, NGHTTP2_PROTOCOL_ERROR);
  auto* stream = requests.request(head);
  if (!stream) return abandon(id, NGHTTP2_REFUSED_STREAM);
  stream->id_ = id;
  nghttp2_session_set_stream_user_data(session, id, stream);
}

ssize_t H2Session::State::offer(H2Stream& stream, std::size_t room, std::uint32_t* flags) {
  if (stream.piece_.empty() && !stream.last_) {
    stream.waits_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const auto size = std::min(room, stream.piece_.size());
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (stream.last_ && size == stream.piece_.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(size);
}

int H2Session::State::take(H2Stream& stream, const std::uint8_t* frame_header, std::size_t size) {
  if (out->size() >= out_limit) return NGHTTP2_ERR_WOULDBLOCK;
  out->append(reinterpret_cast<const char*>(frame_header), kFrameHeader);
  out->append(as_text(stream.piece_.first(size)));
  stream.piece_ = stream.piece_.subspan(size);
  stream.sent_ += size;
  guard.sent_data();
  if (size && stream.piece_.empty() && !stream.last_) stream.drained();
  return 0;
}

void H2Session::State::closed(std::int32_t id, std::uint32_t why) {
  auto* gone = stream(id);
  if (!gone) return;
  nghttp2_session_set_stream_user_data(session, id, nullptr);
  // What nobody will read any more must not keep the window of the others shut.
  if (gone->unconsumed_) nghttp2_session_consume_connection(session, gone->unconsumed_);
  gone->unconsumed_ = 0;
  gone->id_ = 0;
  gone->piece_ = {};
  gone->fields_ = gone->more_ = {};
  gone->block_ = nullptr;
  gone->closed(static_cast<H2Error>(why));
}

void H2Session::State::finish_drain() {
  if (drained || failed) return;
  drained = true;
  nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session), NGHTTP2_NO_ERROR,
                        nullptr, 0);
}

H2Session::H2Session(const H2Options& options, H2Requests& requests)
    : state_(std::make_unique<State>(options, requests)) {
  state_->begin();
}
H2Session::~H2Session() = default;

bool H2Session::receive(Bytes bytes, Nanoseconds now) {
  auto& s = *state_;
  if (s.failed) return false;
  s.now = now;
  s.watch(as_text(bytes));
  if (s.failed) return false;
  const auto read =
      nghttp2_session_mem_recv(s.session, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (read < 0 && !s.failed) {
    // Floods that nghttp2 sees itself, a wrong preface, or no memory.
    const bool flood = read != NGHTTP2_ERR_BAD_CLIENT_MAGIC && read != NGHTTP2_ERR_NOMEM;
    s.fail(flood ? H2Error::enhance_your_calm : H2Error::protocol_error, nghttp2_strerror(static_cast<int>(read)));
  }
  return !s.failed;
}

void H2Session::go_on(H2Stream& stream) {
  if (!stream.id_ || stream.go_on_) return;
  const auto status = any_status();
  stream.go_on_ =
      nghttp2_submit_headers(state_->session, NGHTTP2_FLAG_NONE, stream.id_, nullptr, &status, 1, nullptr) == 0;
}

void H2Session::respond(H2Stream& stream, std::uint16_t status, const Headers& headers, std::span<const Header> more,
                        bool content, const FieldBlock* block) {
  if (!stream.id_) return;
  stream.status_ = status;
  stream.fields_ = {headers.begin(), headers.end()};
  stream.more_ = more;
  stream.block_ = block;
  state_->submit(stream, content);
}

/// Frames are nghttp2's own, heads are ours. They are encoded here, where it is certain that they are sent, and in
/// which order.
void H2Session::State::encode_head(std::int32_t id) {
  block_out.clear();
  writer.begin(block_out);
  if (auto* of = stream(id); of && of->go_on_) {
    of->go_on_ = false;
    writer.status(100, block_out);
  } else if (of) {
    writer.status(of->status_, block_out);
    write_fields(of->fields_, block_out);
    if (of->block_) of->block_->each([&](const Header& field) { writer.field(field.name, field.value, block_out); });
    for (const auto& field : of->more_) writer.field(field.name, field.value, block_out);
  }
}

/// In place of the HEADERS frame that nghttp2 has made.
void H2Session::State::write_head(const std::uint8_t* frame_header) {
  constexpr std::size_t kFrame = 16'384;  // what every peer takes (RFC 9113, section 4.2)
  std::string_view left = block_out;
  for (auto type = std::uint8_t{NGHTTP2_HEADERS}; type; type = left.empty() ? 0 : std::uint8_t{NGHTTP2_CONTINUATION}) {
    const auto piece = left.substr(0, kFrame);
    left.remove_prefix(piece.size());
    const auto kept = type == NGHTTP2_HEADERS ? frame_header[4] & NGHTTP2_FLAG_END_STREAM : 0;
    const char begin[] = {static_cast<char>(piece.size() >> 16), static_cast<char>(piece.size() >> 8),
                          static_cast<char>(piece.size()), static_cast<char>(type),
                          static_cast<char>(kept | (left.empty() ? NGHTTP2_FLAG_END_HEADERS : 0))};
    out->append(begin, sizeof begin);
    out->append(reinterpret_cast<const char*>(frame_header) + sizeof begin, 4);
    out->append(piece);
  }
}

/// Without what must not stand there; a handler's mistake must not become a second field.
void H2Session::State::write_fields(std::span<const Header> fields, std::string& to) {
  for (const auto& field : fields) {
    if (writer.again(field.name, field.value, to)) continue;
    const auto form = form_of(field.name);
    if (form == NameForm::wrong || is_framing(field.name) || !is_one_line(field.value)) continue;
    if (form == NameForm::lower) {
      writer.field(field.name, field.value, to);
    } else {
      lower_name.assign(field.name);
      for (auto& c : lower_name) c = lower(c);
      writer.field(lower_name, field.value, to);
    }
  }
}

void H2Session::State::submit(H2Stream& stream, bool content) {
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t room, std::uint32_t* flags,
                              nghttp2_data_source* source,
                              void* u) { return of(u).offer(*static_cast<H2Stream*>(source->ptr), room, flags); };
  const auto status = any_status();
  if (nghttp2_submit_response(session, stream.id_, &status, 1, content ? &provider : nullptr))
    abandon(stream.id_, NGHTTP2_INTERNAL_ERROR);
}

void H2Session::supply(H2Stream& stream, Bytes piece, bool last) {
  if (!stream.id_) return;
  stream.piece_ = piece;
  stream.last_ = last;
  if (stream.waits_) {
    stream.waits_ = false;
    nghttp2_session_resume_data(state_->session, stream.id_);
  }
}

void H2Session::reset(H2Stream& stream, H2Error why) {
  if (stream.id_) state_->abandon(stream.id_, static_cast<std::uint32_t>(why));
}

void H2Session::consumed(H2Stream& stream, std::size_t bytes) {
  if (!stream.id_) return;
  bytes = std::min(bytes, stream.unconsumed_);
  stream.unconsumed_ -= bytes;
  nghttp2_session_consume(state_->session, stream.id_, bytes);
}

void H2Session::drain() {
  auto& s = *state_;
  if (s.draining || s.failed) return;
  s.draining = true;
  nghttp2_submit_shutdown_notice(s.session);
}

void H2Session::drain_now() {
  state_->draining = true;
  state_->finish_drain();
}

void H2Session::terminate(H2Error why, std::string_view debug) { state_->fail(why, debug); }

void H2Session::gather(std::string& out, std::size_t limit) {
  auto& s = *state_;
  s.out = &out;
  s.out_limit = limit;
  while (out.size() < limit) {
    const std::uint8_t* data = nullptr;
    const auto size = nghttp2_session_mem_send(s.session, &data);
    if (size <= 0) break;
    if (data[3] == NGHTTP2_HEADERS)
      s.write_head(data);
    else
      out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  s.out = nullptr;
}

bool H2Session::wants_write() const { return nghttp2_session_want_write(state_->session); }
bool H2Session::partial() const { return state_->to_skip || state_->frame_header_size || state_->in_block; }
bool H2Session::done() const {
  return !nghttp2_session_want_read(state_->session) && !nghttp2_session_want_write(state_->session);
}
std::string_view H2Session::complaint() const { return state_->complaint; }

}  // namespace plimsoll::http
