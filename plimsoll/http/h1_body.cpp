#include "plimsoll/http/h1_body.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/http/characters.hpp"

#include <algorithm>

namespace plimsoll::h1 {
namespace {

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_text(char c) {  // field content: no control character but the tab
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || c == '\t';
}

}  // namespace

bool BodyReader::wrong(std::string_view detail) {
  detail_ = detail;
  where_ = Where::refused;
  return false;
}

void BodyReader::keep(char c) {
  if (!trailers_) trailers_ = std::make_unique<std::string>();
  *trailers_ += c;
}

std::span<const Header> BodyReader::trailers(Arena& arena) const {
  if (!trailers_) return {};
  const auto count = static_cast<std::size_t>(std::ranges::count(*trailers_, '\n'));
  if (count > kMostTrailers) return {};
  auto* const fields = arena.array<Header>(count);
  std::size_t at = 0;
  for (std::string_view rest = *trailers_; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
    const auto line = rest.substr(0, rest.find('\n'));
    const auto colon = line.find(':');
    fields[at++] = {arena.keep(lowered(line.substr(0, colon))), arena.keep(trimmed(line.substr(colon + 1)))};
  }
  return {fields, count};
}

BodyReader::Step BodyReader::read(std::string_view input) {
  Step step;
  while (where_ != Where::end && where_ != Where::refused && step.consumed < input.size()) {
    if (framing_ == Framing::length || where_ == Where::data) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - step.consumed));
      step.data = input.substr(step.consumed, size);
      step.consumed += size;
      left_ -= size;
      if (left_ == 0) where_ = framing_ == Framing::length ? Where::end : Where::data_cr;
      if (where_ == Where::end) break;
      return step;
    }
    control(input[step.consumed]);
    if (where_ != Where::refused) ++step.consumed;
  }
  if (where_ == Where::end) step.state = State::complete;
  if (where_ == Where::refused) step.state = State::refused;
  return step;
}

/// One byte of what is not data: sizes, extensions, line ends, trailers (RFC 9112, section 7.1).
bool BodyReader::control(char c) {
  const auto to = [&](Where where) {
    where_ = where;
    return true;
  };
  const auto counted = [&] { return ++overhead_ <= kOverhead || wrong("Chunk extensions or trailers are too long."); };
  const auto extension_end = [&] {  // between extensions, or where one may end
    if (c == ';') return to(Where::extension_start);
    if (c == '\r') return to(Where::size_lf);
    return wrong("A chunk size is followed by what is no extension.");
  };
  switch (where_) {
    case Where::size_first:
    case Where::size:
      if (const int digit = hex_value(c); digit >= 0) {
        if (left_ >> 59) return wrong("A chunk size is too large a number.");
        // A long body has many sizes: only zeros before one are counted, or it could go on for ever.
        const bool needless = where_ == Where::size && left_ == 0;
        left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
        return (!needless || counted()) && to(Where::size);
      }
      if (where_ == Where::size_first) return wrong("A chunk has no size.");
      if (is_blank(c)) return counted() && to(Where::extension_blank);
      return extension_end();
    case Where::extension_blank:  // BWS: allowed before `;`, nowhere else
      if (is_blank(c)) return counted();
      if (c == ';') return to(Where::extension_start);
      return wrong("A chunk size is followed by a blank.");
    case Where::extension_start:
      if (!counted()) return false;
      if (is_blank(c)) return true;
      if (!is(characters::kToken, c)) return wrong("A chunk extension has no name.");
      return to(Where::extension_name);
    case Where::extension_name:
      if (!counted()) return false;
      if (is(characters::kToken, c)) return true;
      if (c == '=') return to(Where::extension_value_start);
      if (is_blank(c)) return to(Where::extension_equals);
      return extension_end();
    case Where::extension_equals:
      if (!counted()) return false;
      if (is_blank(c)) return true;
      if (c == '=') return to(Where::extension_value_start);
      if (c == ';') return to(Where::extension_start);
      return wrong("A chunk extension is followed by a blank.");
    case Where::extension_value_start:
      if (!counted()) return false;
      if (is_blank(c)) return true;
      if (c == '"') return to(Where::extension_quoted);
      if (!is(characters::kToken, c)) return wrong("A chunk extension has no value behind its `=`.");
      return to(Where::extension_value);
    case Where::extension_value:
      if (!counted()) return false;
      if (is(characters::kToken, c)) return true;
      if (is_blank(c)) return to(Where::extension_blank);
      return extension_end();
    case Where::extension_quoted:
      if (!counted()) return false;
      if (c == '"') return to(Where::extension_after);
      if (c == '\\') return to(Where::extension_escape);
      return is_text(c) || wrong("A control character is in a chunk extension.");
    case Where::extension_escape:
      if (!counted()) return false;
      return is_text(c) ? to(Where::extension_quoted) : wrong("A control character is in a chunk extension.");
    case Where::extension_after:
      if (is_blank(c)) return counted() && to(Where::extension_blank);
      return extension_end();
    case Where::size_lf:
      if (c != '\n') return wrong("A chunk size does not end with CR LF.");
      return to(left_ == 0 ? Where::trailer_start : Where::data);
    case Where::data_cr: return c == '\r' ? to(Where::data_lf) : wrong("A chunk is longer than its size.");
    case Where::data_lf: return c == '\n' ? to(Where::size_first) : wrong("A chunk does not end with CR LF.");
    case Where::trailer_start:
      if (c == '\r') return to(Where::last_lf);
      if (!is(characters::kToken, c)) return wrong("A trailer has no name.");
      keep(c);
      return counted() && to(Where::trailer_name);
    case Where::trailer_name:
      keep(c);
      if (c == ':') return counted() && to(Where::trailer_value);
      return (counted() && is(characters::kToken, c)) || wrong("A trailer has no name followed by a colon.");
    case Where::trailer_value:
      keep(c == '\r' ? '\n' : c);
      if (c == '\r') return to(Where::trailer_lf);
      return (counted() && is_text(c)) || wrong("A control character is in a trailer, or trailers are too long.");
    case Where::trailer_lf: return c == '\n' ? to(Where::trailer_start) : wrong("A CR is in a trailer.");
    case Where::last_lf: return c == '\n' ? to(Where::end) : wrong("The last chunk does not end with CR LF.");
    case Where::data:
    case Where::end:
    case Where::refused: break;
  }
  return true;
}

}  // namespace plimsoll::h1
