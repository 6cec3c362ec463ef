#include "plimsoll/json/parse.hpp"

#include "plimsoll/json/number.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <unordered_set>
#include <vector>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace plimsoll::json {
namespace {

/// Items of the containers that are open. They move into the arena when a container ends, so that each is one piece.
struct Scratch {
  std::vector<Value> values;
  std::vector<Member> members;
  /// A request may be large once; the thread does not stay so.
  void shrink() {
    constexpr std::size_t kKept = 16 * 1024;
    if (values.capacity() > kKept) std::vector<Value>().swap(values);
    if (members.capacity() > kKept) std::vector<Member>().swap(members);
  }
};

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// The first of `"`, `\` and control characters at or after `at`.
const char* string_end(const char* at, const char* end) {
#if defined(__SSE2__)
  const auto quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\'), control = _mm_set1_epi8(0x1F);
  for (; end - at >= 16; at += 16) {
    const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const auto hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                                  _mm_cmpeq_epi8(_mm_min_epu8(bytes, control), bytes));
    if (const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hit))) return at + std::countr_zero(mask);
  }
#endif
  while (at != end && *at != '"' && *at != '\\' && static_cast<unsigned char>(*at) > 0x1F) ++at;
  return at;
}

/// Whether the last member repeats a key of those before it.
bool repeated(std::span<const Member> members) {
  if (members.size() <= 16) {
    for (std::size_t i = 1; i < members.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (members[i].key == members[j].key) return true;
    return false;
  }
  std::unordered_set<std::string_view> seen;
  seen.reserve(members.size());
  for (const auto& member : members)
    if (!seen.insert(member.key).second) return true;
  return false;
}

template <bool kPositions>
class Parser {
 public:
  Parser(std::string_view text, Arena& arena, std::size_t depth, Scratch& scratch)
      : begin_(text.data()),
        at_(begin_),
        end_(begin_ + text.size()),
        line_start_(begin_),
        arena_(arena),
        depth_(depth),
        scratch_(scratch) {}

  bool document(Value& value) {
    space();
    if (!parse(value, 0)) return false;
    space();
    return at_ == end_ || stop("nothing may follow the value");
  }

  const char* message() const { return message_; }
  const char* where() const { return at_; }

 private:
  bool stop(const char* message) {
    message_ = message;
    return false;
  }
  bool stop_at(const char* at, const char* message) {
    at_ = at;
    return stop(message);
  }

  void space() {
    while (at_ != end_ && is_space(*at_)) {
      if constexpr (kPositions)
        if (*at_ == '\n') ++line_, line_start_ = at_ + 1;
      ++at_;
    }
  }

  Position here() const { return {line_, static_cast<std::uint32_t>(at_ - line_start_) + 1}; }

  bool parse(Value& value, std::size_t depth) {
    Position at;
    if constexpr (kPositions) at = here();
    if (!parse_any(value, depth)) return false;
    if constexpr (kPositions) value.set_position(at);
    return true;
  }

  bool parse_any(Value& value, std::size_t depth) {
    if (at_ == end_) return stop("a value is missing");
    switch (*at_) {
      case '{': return depth < depth_ ? object(value, depth + 1) : stop("it is nested too deeply");
      case '[': return depth < depth_ ? array(value, depth + 1) : stop("it is nested too deeply");
      case '"': {
        std::string_view text;
        if (!string(text)) return false;
        value = Value::of(text);
        return true;
      }
      case 't': return word("true", Value::of(true), value);
      case 'f': return word("false", Value::of(false), value);
      case 'n': return word("null", Value(), value);
      default: return number(value);
    }
  }

  bool word(std::string_view text, const Value& meaning, Value& value) {
    if (!std::string_view(at_, end_).starts_with(text)) return stop("no value starts so");
    at_ += text.size();
    value = meaning;
    return true;
  }

  bool object(Value& value, std::size_t depth) {
    const auto base = scratch_.members.size();
    ++at_;
    space();
    if (at_ != end_ && *at_ == '}') {
      ++at_;
      value = Value::object({});
      return true;
    }
    for (;;) {
      Member member;
      if constexpr (kPositions) member.at = here();
      const char* const key_at = at_;
      if (at_ == end_ || *at_ != '"') return stop("a member's name in quotes is expected");
      if (!string(member.key)) return false;
      space();
      if (at_ == end_ || *at_ != ':') return stop("':' is expected");
      ++at_;
      space();
      if (!parse(member.value, depth)) return false;
      scratch_.members.push_back(member);
      const auto count = scratch_.members.size() - base;
      if (count <= 16 && repeats_last(base)) return stop_at(key_at, "this name stands twice in its object");
      space();
      if (at_ == end_) return stop("'}' is missing");
      const char c = *at_;
      if (c != ',' && c != '}') return stop("',' or '}' is expected");
      ++at_;
      if (c == '}') break;
      space();
    }
    const std::span<const Member> members(scratch_.members.data() + base, scratch_.members.size() - base);
    if (members.size() > 16 && repeated(members)) return stop("a name stands twice in this object");
    auto* kept = arena_.array<Member>(members.size());
    std::uninitialized_copy(members.begin(), members.end(), kept);
    value = Value::object({kept, members.size()});
    scratch_.members.resize(base);
    return true;
  }

  bool repeats_last(std::size_t base) const {
    const auto& last = scratch_.members.back();
    for (auto i = base; i + 1 < scratch_.members.size(); ++i)
      if (scratch_.members[i].key == last.key) return true;
    return false;
  }

  bool array(Value& value, std::size_t depth) {
    const auto base = scratch_.values.size();
    ++at_;
    space();
    if (at_ != end_ && *at_ == ']') {
      ++at_;
      value = Value::array({});
      return true;
    }
    for (;;) {
      Value item;
      if (!parse(item, depth)) return false;
      scratch_.values.push_back(item);
      space();
      if (at_ == end_) return stop("']' is missing");
      const char c = *at_;
      if (c != ',' && c != ']') return stop("',' or ']' is expected");
      ++at_;
      if (c == ']') break;
      space();
    }
    const auto count = scratch_.values.size() - base;
    auto* kept = arena_.array<Value>(count);
    std::uninitialized_copy_n(scratch_.values.begin() + static_cast<std::ptrdiff_t>(base), count, kept);
    value = Value::array({kept, count});
    scratch_.values.resize(base);
    return true;
  }

  bool number(Value& value) {
    const char* const start = at_;
    if (*at_ == '-') ++at_;
    if (at_ == end_ || !is_digit(*at_)) return stop_at(start, "no value starts so");
    std::uint64_t whole = 0;
    if (*at_ == '0') {
      ++at_;
      if (at_ != end_ && is_digit(*at_)) return stop("a number does not start with 0");
    } else {
      for (; at_ != end_ && is_digit(*at_); ++at_) whole = whole * 10 + static_cast<unsigned>(*at_ - '0');
    }
    bool plain = at_ - start <= 18;
    if (at_ != end_ && *at_ == '.') {
      plain = false;
      ++at_;
      if (at_ == end_ || !is_digit(*at_)) return stop("a digit is expected");
      while (at_ != end_ && is_digit(*at_)) ++at_;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      plain = false;
      if (!exponent()) return false;
    }
    const std::string_view text(start, at_);
    if (plain)
      value =
          Value::integer_of(text, *start == '-' ? -static_cast<std::int64_t>(whole) : static_cast<std::int64_t>(whole));
    else
      value = Value::number(text);
    return true;
  }

  bool exponent() {
    ++at_;
    if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    if (at_ == end_ || !is_digit(*at_)) return stop("a digit is expected");
    std::int64_t size = 0;
    for (; at_ != end_ && is_digit(*at_); ++at_)
      if (size <= kExponentLimit) size = size * 10 + (*at_ - '0');
    return size <= kExponentLimit || stop("the exponent is beyond 999999999");
  }

  bool string(std::string_view& text) {
    const char* const start = ++at_;
    at_ = string_end(at_, end_);
    if (at_ != end_ && *at_ == '"') {
      text = {start, at_++};
      return true;
    }
    return escaped_string(start, text);
  }

  /// From the first escape on the text is copied; what it becomes is never longer than what was written.
  bool escaped_string(const char* start, std::string_view& text) {
    const char* close = at_;
    while (close != end_ && *close == '\\') close = string_end(std::min(close + 2, end_), end_);
    auto* const copy = arena_.array<char>(static_cast<std::size_t>(close - start));
    auto* out = std::copy(start, at_, copy);
    for (;;) {
      if (at_ == end_) return stop("the string does not end");
      if (*at_ == '"') break;
      if (*at_ != '\\') return stop("a control character in a string must be escaped");
      if (!escape(out)) return false;
      const char* const next = string_end(at_, end_);
      out = std::copy(at_, next, out);
      at_ = next;
    }
    ++at_;
    text = {copy, out};
    return true;
  }

  bool escape(char*& out) {
    if (end_ - at_ < 2) return stop_at(end_, "the string does not end");
    switch (at_[1]) {
      case '"': *out++ = '"'; break;
      case '\\': *out++ = '\\'; break;
      case '/': *out++ = '/'; break;
      case 'b': *out++ = '\b'; break;
      case 'f': *out++ = '\f'; break;
      case 'n': *out++ = '\n'; break;
      case 'r': *out++ = '\r'; break;
      case 't': *out++ = '\t'; break;
      case 'u': return unicode_escape(out);
      default: return stop("this is no escape of JSON");
    }
    at_ += 2;
    return true;
  }

  bool unicode_escape(char*& out) {
    std::uint32_t code = 0, low = 0;
    if (!hex(at_ + 2, code)) return stop("four hexadecimal digits are expected after \\u");
    const char* next = at_ + 6;
    if (code >= 0xD800 && code < 0xDC00) {
      if (end_ - next < 6 || next[0] != '\\' || next[1] != 'u' || !hex(next + 2, low) || low < 0xDC00 || low > 0xDFFF)
        return stop("half of a surrogate pair stands alone");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      next += 6;
    } else if (code >= 0xDC00 && code < 0xE000) {
      return stop("half of a surrogate pair stands alone");
    }
    std::string bytes;
    append_utf8(bytes, code);
    out = std::ranges::copy(bytes, out).out;
    at_ = next;
    return true;
  }

  bool hex(const char* digits, std::uint32_t& code) const {
    if (end_ - digits < 4) return false;
    code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = digits[i], lower = static_cast<char>(c | 0x20);
      if (!is_digit(c) && (lower < 'a' || lower > 'f')) return false;
      code = code * 16 + static_cast<unsigned>(is_digit(c) ? c - '0' : lower - 'a' + 10);
    }
    return true;
  }

  const char *begin_, *at_, *end_;
  const char* line_start_;
  std::uint32_t line_ = 1;
  Arena& arena_;
  std::size_t depth_;
  Scratch& scratch_;
  const char* message_ = "";
};

std::unexpected<Error> malformed(std::string_view text, std::size_t offset, std::string_view message) {
  const auto before = text.substr(0, offset);
  const auto line = 1 + std::ranges::count(before, '\n');
  const auto start = before.rfind('\n');
  const auto column = offset - (start == before.npos ? 0 : start + 1) + 1;
  return fail(kMalformed,
              "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + std::string(message));
}

std::unexpected<Error> no_utf8(std::string_view text) {
  std::size_t at = 0;
  while (const auto length = utf8_length(text.substr(at))) at += length;
  return malformed(text, at, "this is no UTF-8");
}

template <bool kPositions>
Result<Value> run(std::string_view text, Arena& arena, std::size_t depth) {
  static thread_local Scratch scratch;
  scratch.values.clear();
  scratch.members.clear();
  Parser<kPositions> parser(text, arena, depth, scratch);
  Value value;
  const bool good = parser.document(value);
  scratch.shrink();
  if (good) return value;
  return malformed(text, static_cast<std::size_t>(parser.where() - text.data()), parser.message());
}

}  // namespace

Result<Value> parse(std::string_view text, Arena& arena, const ParseLimits& limits) {
  constexpr std::size_t kMostText = 0xFFFFFFFF, kMostDepth = 1000;  // sizes are 32 bits; the stack is a thread's
  if (text.size() > kMostText) return fail(kMalformed, "a text of 4 GiB or more is not read");
  if (!valid_utf8(text)) return no_utf8(text);
  const auto depth = std::min(limits.depth, kMostDepth);
  return limits.positions ? run<true>(text, arena, depth) : run<false>(text, arena, depth);
}

}  // namespace plimsoll::json
