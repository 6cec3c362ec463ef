#include "plimsoll/client/response_reader.hpp"

#include "plimsoll/base/copy.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/trailing.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::client {
namespace {

constexpr std::size_t kHead = 64 * 1024;
/// Interim answers: more are of no use to anybody.
constexpr std::uint32_t kMostInterim = 32;

[[gnu::cold]] std::unexpected<Error> bad(std::string why) { return fail(kBadAnswer, std::move(why)); }

}  // namespace

std::string_view Answer::find(std::string_view name) const {
  for (auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

void ResponseReader::begin(bool head_request, bool upgrade) {
  head_request_ = head_request, upgrade_ = upgrade;
  state_ = State::status_line;
  begun_ = continued_ = head_complete_ = chunked_ = closes_ = first_version_ = false;
  keep_alive_ = true;
  length_.reset();
  left_ = head_ = interims_ = status_ = 0;
  partial_.clear();
  fields_.clear();
  texts_.clear();
  interim_.clear();
  trailers_.clear();
}

template <class F>
void ResponseReader::each_field(std::string_view texts, F f) const {
  for (const auto& place : fields_)
    f(texts.substr(place.name_at, place.name_size), texts.substr(place.value_at, place.value_size));
}

void ResponseReader::put_fields(Headers& fields) const {
  each_field(fields.arena().keep(texts_),
             [&](std::string_view name, std::string_view value) { fields.add(lasting(name), lasting(value)); });
}

Answer ResponseReader::interim_answer() const {
  Answer answer{.status = status_};
  each_field(texts_, [&](std::string_view name, std::string_view value) { answer.headers.emplace_back(name, value); });
  return answer;
}

Result<ResponseReader::Step> ResponseReader::read(std::string_view bytes) {
  const auto all = bytes.size();
  const bool had_head = head_complete_;
  begun_ = begun_ || all > 0;
  while (!bytes.empty() && state_ != State::whole) {
    if (state_ == State::body || state_ == State::chunk || state_ == State::until_close) {
      const auto size = state_ == State::until_close
                            ? bytes.size()
                            : static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      const Step step{.consumed = all - bytes.size() + size, .data = bytes.substr(0, size)};
      if (state_ == State::until_close) return step;
      left_ -= size;
      if (left_ == 0) state_ = state_ == State::body ? State::whole : State::chunk_end;
      return step;
    }
    const auto control = find_control(bytes.data(), 0, bytes.size());  // which ends the line nearly always
    const auto end = bytes.substr(control).starts_with("\r\n") ? control + 1 : bytes.find('\n', control);
    const auto piece = bytes.substr(0, end);
    if (head_ += piece.size() + (end != bytes.npos); head_ > kHead) return bad("its head is larger than 64 KiB");
    if (end == bytes.npos || !partial_.empty()) partial_ += piece;
    if (end == bytes.npos) return Step{.consumed = all};
    bytes.remove_prefix(end + 1);
    std::string_view text = partial_.empty() ? piece : partial_;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if ((text.size() != control || !partial_.empty()) && text.find_first_of(std::string_view("\r\0", 2)) != text.npos)
      return bad("a line holds CR or NUL");
    if (auto done = line(text); !done) return std::unexpected(std::move(done).error());
    partial_.clear();
    if (head_complete_ && !had_head) break;
  }
  return Step{.consumed = all - bytes.size()};
}

Result<> ResponseReader::line(std::string_view text) {
  switch (state_) {
    case State::status_line: return status_line(text);
    case State::fields: return text.empty() ? head_done() : field(text);
    case State::chunk_size: return chunk_size(text);
    case State::chunk_end:
      if (!text.empty()) return bad("a chunk does not end where it says");
      state_ = State::chunk_size;
      return {};
    default:
      if (text.empty())
        state_ = State::whole;
      else
        trailer(text);
      return {};
  }
}

Result<> ResponseReader::status_line(std::string_view text) {
  if (!text.starts_with("HTTP/1.") || text.size() < 12 || text[8] != ' ') return bad("no HTTP/1 status line");
  if (text[7] != '0' && text[7] != '1') return bad("an unknown version of HTTP");
  first_version_ = text[7] == '0';
  keep_alive_ = !first_version_;
  unsigned status = 0;
  const auto [end, error] = std::from_chars(text.data() + 9, text.data() + 12, status);
  if (error != std::errc{} || end != text.data() + 12 || status < 100 || status > 599 ||
      (text.size() > 12 && text[12] != ' '))
    return bad("no status code");
  status_ = static_cast<std::uint16_t>(status);
  fields_.clear();
  texts_.clear();
  chunked_ = false;
  length_.reset();
  state_ = State::fields;
  return {};
}

Result<> ResponseReader::field(std::string_view text) {
  const auto colon = find_not_token(text.data(), 0, text.size());
  if (colon == 0 || colon == text.size() || text[colon] != ':') return bad("a header that is none");
  const auto value = trimmed(text.substr(colon + 1));
  const auto at = texts_.size(),
             value_at = value.empty() ? at : at + static_cast<std::size_t>(value.data() - text.data());
  texts_.append(text);
  lower_in_place(texts_.data() + at, colon);
  fields_.push_back({.name_at = static_cast<std::uint32_t>(at),
                     .name_size = static_cast<std::uint32_t>(colon),
                     .value_at = static_cast<std::uint32_t>(value_at),
                     .value_size = static_cast<std::uint32_t>(value.size())});
  const auto name = std::string_view(texts_).substr(at, colon);
  if (name == "content-length") {
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (value.empty() || error != std::errc{} || end != value.data() + value.size()) return bad("no length");
    if (length_ && length != *length_) return bad("two different lengths");
    length_ = length;
  } else if (name == "transfer-encoding") {
    if (chunked_ || lowered(value) != "chunked") return bad("an unknown transfer coding");
    chunked_ = true;
  } else if (name == "connection") {
    each_of(value, [&](std::string_view option) {
      if (same_as_lower(option, "close")) closes_ = true;
      if (same_as_lower(option, "keep-alive")) keep_alive_ = true;
    });
  }
  return {};
}

Result<> ResponseReader::head_done() {
  if (chunked_ && length_) return bad("a length beside a transfer coding");
  // HTTP/1.0 has no transfer codings: who wrote this one may mean another end (RFC 9112, section 6.1).
  if (closes_ || (first_version_ && chunked_)) keep_alive_ = false;
  if (status_ == 101) {
    if (!upgrade_) return bad("it changes the protocol without being asked");
    if (chunked_ || length_) return bad("a body where the protocol changes");
    head_complete_ = true;
    keep_alive_ = false;
    state_ = State::whole;
    return {};
  }
  if (status_ < 200) {  // an interim answer; the final one follows
    if (++interims_ > kMostInterim) return bad("more than 32 interim answers");
    if (chunked_ || length_.value_or(0)) return bad("an interim answer with a body");
    continued_ = continued_ || status_ == 100;
    if (status_ != 100) interim_.push_back(interim_answer());
    state_ = State::status_line;
    return {};
  }
  head_complete_ = true;
  if (head_request_ || status_ == 204 || status_ == 304) {
    state_ = State::whole;
  } else if (chunked_) {
    state_ = State::chunk_size;
  } else if (length_) {
    left_ = *length_;
    state_ = left_ == 0 ? State::whole : State::body;
  } else {
    keep_alive_ = false;
    state_ = State::until_close;
  }
  return {};
}

Result<> ResponseReader::chunk_size(std::string_view text) {
  text = trimmed(text.substr(0, text.find(';')));
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size, 16);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return bad("no size of a chunk");
  head_ = 0;  // each line of framing has the bound anew; the body is bounded besides
  left_ = size;
  state_ = size == 0 ? State::trailers : State::chunk;
  return {};
}

/// What is no field, or may not stand there, is passed over.
void ResponseReader::trailer(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == text.npos) return;
  auto name = lowered(text.substr(0, colon));
  const auto value = trimmed(text.substr(colon + 1));
  if (http::may_trail(name) && find_control(value.data(), 0, value.size()) == value.size())
    trailers_.emplace_back(std::move(name), value);
}

Result<> ResponseReader::end() {
  if (state_ == State::until_close) state_ = State::whole;
  if (state_ != State::whole) return bad(begun_ ? "it ends in the middle" : "nothing came");
  return {};
}

}  // namespace plimsoll::client
