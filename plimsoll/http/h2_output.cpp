#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_block.hpp"
#include "plimsoll/http/field_check.hpp"
#include "plimsoll/http/h2_machine.hpp"

namespace plimsoll::http::h2 {

void Machine::Line::add(H2Stream& stream) {
  stream.queue_previous_ = last;
  stream.queue_next_ = nullptr;
  (last ? last->queue_next_ : first) = &stream;
  last = &stream;
}

void Machine::Line::remove(H2Stream& stream) {
  (stream.queue_previous_ ? stream.queue_previous_->queue_next_ : first) = stream.queue_next_;
  (stream.queue_next_ ? stream.queue_next_->queue_previous_ : last) = stream.queue_previous_;
}

void Machine::put_in(H2Stream& stream, Queue queue) {
  if (stream.queue_ == queue) return;
  if (stream.queue_ != Queue::none) (stream.queue_ == Queue::heads ? heads : content).remove(stream);
  stream.queue_ = queue;
  if (queue != Queue::none) (queue == Queue::heads ? heads : content).add(stream);
}

/// Puts a stream where it waits for its turn. Content waits for the windows too, and gives way to what does not.
void Machine::ready(H2Stream& stream) {
  if (stream.doomed_ || stream.go_on_ || stream.interim_ || stream.head_due_ ||
      (stream.out_begun_ && stream.last_ && stream.piece_.empty()))
    put_in(stream, Queue::heads);
  else if (stream.out_begun_ && !stream.piece_.empty() && stream.out_window_ > 0)
    put_in(stream, Queue::content);
  else
    put_in(stream, Queue::none);
}

void Machine::write_next(H2Stream& stream, std::string& out) {
  if (stream.queue_ == Queue::content) return write_content(stream, out);
  put_in(stream, Queue::none);
  if (stream.doomed_) {
    put_reset(out, stream.id_, stream.why_);
    return close(stream, stream.why_);
  }
  if (std::exchange(stream.go_on_, false)) {
    const auto begin = out.size();
    out.append(kFrameHeader, '\0');
    writer.begin(out);
    writer.status(100, out);
    end_block(out, begin, stream.id_, 0);
  }
  for (auto* interim = std::exchange(stream.interim_, nullptr); interim; interim = interim->next) {
    const auto begin = out.size();
    out.append(kFrameHeader, '\0');
    writer.begin(out);
    writer.status(interim->status, out);
    write_fields(interim->fields, out);
    end_block(out, begin, stream.id_, 0);
  }
  if (std::exchange(stream.head_due_, false)) {
    write_head(stream, out);
    if (!stream.content_) return out_ended(stream, out);
  }
  if (stream.out_begun_ && stream.last_ && stream.piece_.empty()) return write_end(stream, out);
  if (stream.out_begun_ && !stream.piece_.empty() && stream.out_window_ > 0 && out_window > 0)
    return write_content(stream, out);
  ready(stream);
}

/// Without what must not stand there; a handler's mistake must not become a second field.
void Machine::write_fields(std::span<const Header> fields, std::string& out) {
  for (;;) {
    // The one field of this kind that is written all the same, by us, and so may be found again.
    const auto length = std::ranges::find(fields, std::string_view("content-length"), &Header::name);
    fields = fields.subspan(writer.again({fields.begin(), length}, out));
    if (fields.empty()) return;
    const auto& field = fields.front();
    fields = fields.subspan(1);
    const auto form = form_of(field.name);
    if (form == NameForm::wrong || is_framing(field.name) || !is_one_line(field.value)) continue;
    if (form == NameForm::lower) {
      writer.field(field.name, field.value, out);
    } else {
      lower_name.assign(field.name);
      for (auto& c : lower_name) c = lower(c);
      writer.field(lower_name, field.value, out);
    }
  }
}

/// Makes a HEADERS frame of what stands in `out` behind `begin` and the room for its header; where that is too much for
/// one, CONTINUATION frames follow.
void Machine::end_block(std::string& out, std::size_t begin, std::int32_t id, std::uint8_t flags) {
  const auto size = out.size() - begin - kFrameHeader;
  if (size <= kMostPayload) { return put_header(out.data() + begin, size, Type::headers, flags | kEndHeaders, id); }
  const auto block = out.substr(begin + kFrameHeader);
  out.resize(begin);
  for (std::string_view left = block; !left.empty();) {
    const auto piece = left.substr(0, kMostPayload);
    const auto type = left.size() == block.size() ? Type::headers : Type::continuation;
    left.remove_prefix(piece.size());
    const auto ends = left.empty() ? kEndHeaders : 0;
    put_frame_header(out, piece.size(), type, static_cast<std::uint8_t>((type == Type::headers ? flags : 0) | ends),
                     id);
    out += piece;
  }
}

/// One frame; streams take turns.
void Machine::write_content(H2Stream& stream, std::string& out) {
  put_in(stream, Queue::none);
  const auto open_for = static_cast<std::size_t>(std::min(stream.out_window_, out_window));
  const auto size = std::min({stream.piece_.size(), kMostPayload, open_for});
  const bool ends = stream.last_ && size == stream.piece_.size() && stream.trailers_.empty();
  put_frame_header(out, size, Type::data, ends ? kEndStream : 0, stream.id_);
  out += as_text(stream.piece_.first(size));
  stream.piece_ = stream.piece_.subspan(size);
  stream.out_window_ -= static_cast<std::int64_t>(size);
  out_window -= static_cast<std::int64_t>(size);
  stream.sent_ += size;
  guard.sent_data();
  if (ends) return out_ended(stream, out);
  if (stream.piece_.empty()) stream.drained();
  ready(stream);
}

/// What ends a stream of which all content is written.
void Machine::write_end(H2Stream& stream, std::string& out) {
  if (stream.trailers_.empty()) {
    put_frame_header(out, 0, Type::data, kEndStream, stream.id_);
    guard.sent_data();
  } else {
    const auto begin = out.size();
    out.append(kFrameHeader, '\0');
    writer.begin(out);
    write_fields(stream.trailers_, out);
    end_block(out, begin, stream.id_, kEndStream);
  }
  out_ended(stream, out);
}

void Machine::gather(std::string& out, std::size_t limit) {
  const auto say = [&] {
    if (control.empty()) return;
    out += control;
    control.clear();
    answers = 0;
  };
  say();
  while (!failed && out.size() < limit) {
    auto* const next = heads.first ? heads.first : out_window > 0 ? content.first : nullptr;
    if (!next) break;
    write_next(*next, out);
  }
  say();
}

}  // namespace plimsoll::http::h2
