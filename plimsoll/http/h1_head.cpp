#include "plimsoll/http/h1_head.hpp"

#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/target.hpp"

namespace plimsoll::h1 {

using State = Head::State;

void Head::reset() {
  fields.clear();
  begin = size = 0;
  method = target = authority = path = query = host_ = {};
  version = 11;
  framing = Framing::none;
  content_length = 0;
  scanned_ = line_ = 0;
  has_content_length = expects_continue = false;
  keep_alive = true;
  begun_ = have_line_ = refused_ = has_host_ = has_coding_ = chunked_ = unknown_coding_ = false;
  close_ = asked_keep_alive_ = expects_other_ = empty_coding_ = absolute = has_query = false;
}

State Head::refuse(const Problem& problem, std::string_view detail) {
  problem_ = &problem;
  detail_ = detail;
  refused_ = true;
  return State::refused;
}

State Head::read(std::string_view buffer) {
  if (refused_) return State::refused;
  if (size) return State::complete;
  // A head is refused at the first byte past its limit, whatever may follow.
  const auto end = std::min(buffer.size(), limits_.head);
  for (;;) {
    const auto at = find_control(buffer.data(), scanned_, end);
    // The longest request line that can be right: method, target, " HTTP/1.1".
    if (!have_line_ && at - line_ > limits_.target + 64) return refuse(kTargetTooLong, "The request line is too long.");
    begun_ |= at > line_;
    scanned_ = at;
    if (at == end) break;
    if (buffer[at] != '\r') {
      return refuse(kMalformed, buffer[at] == '\n' ? "A line ends with LF alone; it must end with CR LF."
                                                   : "A control character is in the head.");
    }
    if (at + 1 == end) break;
    if (buffer[at + 1] != '\n') return refuse(kMalformed, "A CR is in the head without its LF.");
    scanned_ = at + 2;
    if (at == line_) {
      if (have_line_) {
        size = scanned_;
        return finish(buffer);
      }
      line_ = scanned_;  // empty lines before the request line are skipped (RFC 9112, section 2.2)
      continue;
    }
    const auto state = have_line_ ? field_line(buffer, at) : request_line(buffer, at);
    if (state == State::refused) return state;
    line_ = scanned_;
  }
  if (end == limits_.head) return refuse(kHeadTooLarge, "The head is larger than this server takes.");
  return State::incomplete;
}

State Head::request_line(std::string_view buffer, std::size_t end) {
  begin = line_;
  have_line_ = true;
  const auto line = buffer.substr(begin, end - begin);
  const auto first = find_not_token(buffer.data(), begin, end) - begin;
  if (first == line.size() || line[first] != ' ' || first == 0)
    return refuse(kMalformed, line.contains(' ') ? "The method is not a token." : "The request line has no target.");
  // The version is always as long; a blank before that is refused as a part of the target.
  const auto last = line.size() - std::min<std::size_t>(line.size(), 9);
  if (last <= first || line[last] != ' ') return refuse(kMalformed, "The request line has no HTTP version.");
  const auto word = line.substr(last + 1);
  if (!word.starts_with("HTTP/") || !is(characters::kDigit, word[5]) || word[6] != '.' ||
      !is(characters::kDigit, word[7]))
    return refuse(kMalformed, "The request line does not end with an HTTP version.");
  method = {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(first)};
  target = {static_cast<std::uint32_t>(begin + first + 1), static_cast<std::uint32_t>(last - first - 1)};
  if (target.size == 0) return refuse(kMalformed, "The target is empty.");
  if (target.size > limits_.target) return refuse(kTargetTooLong, "The target is longer than this server takes.");
  if (word[5] != '1') return refuse(kVersionUnknown, "The major version is not 1.");
  version = word[7] == '0' ? 10 : 11;  // a higher minor version is served as 1.1 (RFC 9110, section 2.5)
  return target_form(buffer);
}

State Head::target_form(std::string_view buffer) {
  const auto text = target.in(buffer);
  const auto verb = method.in(buffer);
  if (verb == "CONNECT") return refuse(kMethodUnknown, "CONNECT is not served.");
  const auto split = split_target(text);
  if (!split) return refuse(kMalformed, split.error());
  if (split->form == Target::Form::asterisk && verb != "OPTIONS")
    return refuse(kMalformed, "The target * is for OPTIONS only.");
  const auto slice = [&](std::string_view part) {
    return Slice{target.at + static_cast<std::uint32_t>(part.data() - text.data()),
                 static_cast<std::uint32_t>(part.size())};
  };
  if (split->form == Target::Form::absolute) {
    absolute = true;
    authority = slice(split->authority);
  } else {
    path = slice(split->path);
    has_query = split->has_query;
    if (has_query) query = slice(split->query);
  }
  return State::incomplete;
}

State Head::field_line(std::string_view buffer, std::size_t end) {
  if (fields.size() == limits_.fields)
    return refuse(kHeadTooLarge, "There are more header fields than this server takes.");
  const auto line = buffer.substr(line_, end - line_);
  if (line.front() == ' ' || line.front() == '\t')
    return refuse(kMalformed, "A header line begins with a blank; folded lines are obsolete.");
  const auto colon = find_not_token(buffer.data(), line_, buffer.size()) - line_;  // the line's CR is none either
  if (colon == line.size() || line[colon] != ':')
    return refuse(kMalformed, "A header line has no name followed by a colon.");
  if (colon == 0) return refuse(kMalformed, "A header field has no name.");
  const auto value = trimmed(line.substr(colon + 1));
  const auto name = line.substr(0, colon);
  const Slice place{static_cast<std::uint32_t>(value.empty() ? line_ + colon
                                                             : static_cast<std::size_t>(value.data() - buffer.data())),
                    static_cast<std::uint32_t>(value.size())};
  fields.push_back({{static_cast<std::uint32_t>(line_), static_cast<std::uint32_t>(colon)}, place});
  return note(name, value, place);
}

/// The fields that say where the message ends and to whom it goes. All others are for those who read the request.
State Head::note(std::string_view name, std::string_view value, Slice at) {
  switch (name.size()) {
    case 4:
      if (!same_as_lower(name, "host")) break;
      if (has_host_) return refuse(kMalformed, "There is more than one Host.");
      has_host_ = true;
      host_ = at;
      break;
    case 6:
      if (!same_as_lower(name, "expect")) break;
      if (same_as_lower(value, "100-continue"))
        expects_continue = true;
      else
        expects_other_ = true;
      break;
    case 10:
      if (same_as_lower(name, "connection")) options(value);
      break;
    case 14:
      if (!same_as_lower(name, "content-length")) break;
      if (has_content_length) return refuse(kMalformed, "There is more than one Content-Length.");
      has_content_length = true;
      if (value.empty()) return refuse(kMalformed, "Content-Length is empty.");
      for (const char c : value) {
        if (!is(characters::kDigit, c)) return refuse(kMalformed, "Content-Length is not a number.");
        const auto digit = static_cast<std::uint64_t>(c - '0');
        if (content_length > (INT64_MAX - digit) / 10)
          return refuse(kMalformed, "Content-Length is too large a number.");
        content_length = content_length * 10 + digit;
      }
      break;
    case 17:
      if (same_as_lower(name, "transfer-encoding")) return coding(value);
      break;
    default: break;
  }
  return State::incomplete;
}

State Head::coding(std::string_view value) {
  has_coding_ = true;
  bool any = false;
  for (std::size_t at = 0; at <= value.size();) {
    const auto comma = std::min(value.find(',', at), value.size());
    const auto word = trimmed(value.substr(at, comma - at));
    at = comma + 1;
    if (word.empty()) continue;  // an empty list member (RFC 9110, section 5.6.1.2)
    any = true;
    if (chunked_)
      return refuse(kMalformed, "A transfer coding follows `chunked`, which must be the last and appear once.");
    if (same_as_lower(word, "chunked"))
      chunked_ = true;
    else
      unknown_coding_ = true;
  }
  if (!any) empty_coding_ = true;
  return State::incomplete;
}

void Head::options(std::string_view value) {
  for (std::size_t at = 0; at <= value.size();) {
    const auto comma = std::min(value.find(',', at), value.size());
    const auto word = trimmed(value.substr(at, comma - at));
    at = comma + 1;
    close_ |= same_as_lower(word, "close");
    asked_keep_alive_ |= same_as_lower(word, "keep-alive");
  }
}

State Head::host(std::string_view buffer) {
  if (!has_host_ && version == 11) return refuse(kMalformed, "There is no Host.");
  const auto value = host_.in(buffer);
  if (!value.empty() && value != sound_host_) {
    if (!is_authority(value)) return refuse(kMalformed, "Host is not a host with an optional port.");
    constexpr std::size_t kKept = 64;
    if (value.size() <= kKept) sound_host_ = value;
  }
  // The authority of an absolute target replaces Host (RFC 9112, section 3.2.2).
  if (!absolute) authority = host_;
  return State::incomplete;
}

State Head::finish(std::string_view buffer) {
  if (host(buffer) == State::refused) return State::refused;
  if (has_coding_) {
    if (version == 10) return refuse(kMalformed, "HTTP/1.0 has no Transfer-Encoding.");
    if (has_content_length) return refuse(kMalformed, "Transfer-Encoding and Content-Length exclude each other.");
    if (empty_coding_ || !chunked_) return refuse(kMalformed, "The last transfer coding is not `chunked`.");
    if (unknown_coding_) return refuse(kUnknownCoding, "Only the transfer coding `chunked` is known.");
    framing = Framing::chunked;
  } else if (has_content_length) {
    framing = Framing::length;
  }
  if (version == 10) {
    expects_continue = false;  // RFC 9110, section 10.1.1
  } else if (expects_other_) {
    return refuse(kExpectationUnknown, "Only the expectation 100-continue is known.");
  }
  keep_alive = !close_ && (version == 11 || asked_keep_alive_);
  return State::complete;
}

}  // namespace plimsoll::h1
