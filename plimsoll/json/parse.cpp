#include "plimsoll/json/parse.hpp"

#include "plimsoll/json/number.hpp"
#include "plimsoll/json/object_builder.hpp"
#include "plimsoll/json/scratch.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace plimsoll::json {
namespace {

constexpr bool is_digit(char c) { return static_cast<unsigned char>(c - '0') <= 9; }
constexpr bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/// The first of `"`, `\` and control characters at or after `at`.
inline const char* string_end(const char* at, const char* end) {
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

/// Each function is given where to read and gives where to read on, or null when the text is wrong: a place that is
/// handed on stays in a register.
template <bool kPositions>
class Parser {
 public:
  Parser(std::string_view text, Arena& arena, std::size_t depth, Scratch& scratch)
      : begin_(text.data()),
        end_(begin_ + text.size()),
        line_start_(begin_),
        arena_(arena),
        depth_(depth),
        scratch_(scratch) {}

  bool document(Value& value) {
    const char* at = parse(space(begin_), value, 0);
    if (!at) return false;
    at = space(at);
    return at == end_ || stop(at, "nothing may follow the value");
  }

  const char* message() const { return message_; }
  const char* where() const { return where_; }

 private:
  const char* stop(const char* at, const char* message) {
    where_ = at;
    message_ = message;
    return nullptr;
  }

  [[gnu::always_inline]] const char* space(const char* at) {
    if (at == end_ || static_cast<unsigned char>(*at) > ' ') [[likely]]
      return at;
    return spaces(at);
  }
  [[gnu::noinline]] const char* spaces(const char* at) {
#if defined(__SSE2__)
    const auto all = [](char c) { return _mm_set1_epi8(c); };
    for (; !kPositions && end_ - at >= 16; at += 16) {
      const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
      const auto hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, all(' ')), _mm_cmpeq_epi8(bytes, all('\n'))),
                                    _mm_or_si128(_mm_cmpeq_epi8(bytes, all('\r')), _mm_cmpeq_epi8(bytes, all('\t'))));
      if (const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hit)); mask != 0xFFFF)
        return at + std::countr_one(mask);
    }
#endif
    for (; at != end_ && is_space(*at); ++at)
      if constexpr (kPositions)
        if (*at == '\n') ++line_, line_start_ = at + 1;
    return at;
  }
  /// Whether `c` is here, or behind spaces: then `at` moves there.
  [[gnu::always_inline]] bool meets(const char*& at, char c) {
    if (at != end_ && *at == c) [[likely]]
      return true;
    at = space(at);
    return at != end_ && *at == c;
  }

  Position position(const char* at) const { return {line_, static_cast<std::uint32_t>(at - line_start_) + 1}; }

  const char* parse(const char* at, Value& value, std::size_t depth) {
    if (at == end_) return stop(at, "a value is missing");
    Position place;
    if constexpr (kPositions) place = position(at);
    switch (*at) {
      case '"': at = text(at, value); break;
      case '{': at = depth < depth_ ? object(at, value, depth + 1) : stop(at, "it is nested too deeply"); break;
      case '[': at = depth < depth_ ? array(at, value, depth + 1) : stop(at, "it is nested too deeply"); break;
      case 't': at = word(at, "true", Value::of(true), value); break;
      case 'f': at = word(at, "false", Value::of(false), value); break;
      case 'n': at = word(at, "null", Value(), value); break;
      default: at = number(at, value);
    }
    if constexpr (kPositions) value.set_position(place);
    return at;
  }

  [[gnu::always_inline]] const char* text(const char* at, Value& value) {
    std::string_view read;
    at = string(at, read);
    value = Value::of(read);
    return at;
  }

  const char* word(const char* at, std::string_view text, const Value& meaning, Value& value) {
    if (!std::string_view(at, end_).starts_with(text)) return stop(at, "no value starts so");
    value = meaning;
    return at + text.size();
  }

  [[gnu::noinline]] const char* object(const char* at, Value& value, std::size_t depth) {
    auto& members = scratch_.members;
    const auto base = members.size();
    if (meets(++at, '}')) {
      value = Value::object({});
      return at + 1;
    }
    Names names;
    for (;;) {
      if (!meets(at, '"')) return stop(at, "a member's name in quotes is expected");
      const char* const quote = at;
      std::string_view name;
      if (at = string(at, name); !at) return nullptr;
      const bool escaped = name.data() != quote + 1;
      if (names.add(name, escaped ? 0 : end_ - name.data()) && stands_twice(name, base))
        return stop(quote, "this name appears twice in its object");
      auto* member = members.add();
      member->key = name;
      if constexpr (kPositions)
        member->at = position(quote);
      else
        member->at = {};
      if (!meets(at, ':')) return stop(at, "':' is expected");
      at = space(at + 1);
      if (!kPositions && at != end_ && *at == '"') {
        if (at = text(at, member->value); !at) return nullptr;
      } else {
        Value inner;  // the members of what is read here stand above this one, and may move it
        if (at = parse(at, inner, depth); !at) return nullptr;
        members.last()->value = inner;
      }
      if (meets(at, ',')) [[likely]] {
        ++at;
        continue;
      }
      if (at == end_) return stop(at, "'}' is missing");
      if (*at != '}') return stop(at, "',' or '}' is expected");
      break;
    }
    const auto kept = members.move(base, arena_);
    if (kept.size() > kFewMembers && has_repeated_names(kept))
      return stop(at + 1, "a name appears twice in this object");
    value = Value::object(kept);
    return at + 1;
  }

  /// Among the first ones: what is beyond is held against all when the object ends.
  bool stands_twice(std::string_view name, std::size_t base) const {
    const auto members = scratch_.members.since(base);
    return members.size() < kFewMembers && std::ranges::find(members, name, &Member::key) != members.end();
  }

  [[gnu::noinline]] const char* array(const char* at, Value& value, std::size_t depth) {
    auto& values = scratch_.values;
    const auto base = values.size();
    if (meets(++at, ']')) {
      value = Value::array({});
      return at + 1;
    }
    for (;;) {
      Value item;
      at = space(at);
      at = at != end_ && *at == '"' && !kPositions ? text(at, item) : parse(at, item, depth);
      if (!at) return nullptr;
      *values.add() = item;
      if (meets(at, ',')) [[likely]] {
        ++at;
        continue;
      }
      if (at == end_) return stop(at, "']' is missing");
      if (*at != ']') return stop(at, "',' or ']' is expected");
      break;
    }
    value = Value::array(values.move(base, arena_));
    return at + 1;
  }

  [[gnu::noinline]] const char* number(const char* at, Value& value) {
    const char* const start = at;
    const bool negative = *at == '-';
    if (negative) ++at;
    if (at == end_ || !is_digit(*at)) return stop(start, "no value starts so");
    std::uint64_t digits = 0;
    if (*at == '0') {
      ++at;
      if (at != end_ && is_digit(*at)) return stop(at, "a number does not start with 0");
    } else {
      for (; at != end_ && is_digit(*at); ++at) digits = digits * 10 + static_cast<unsigned>(*at - '0');
    }
    bool plain = true;
    std::size_t places = 0;
    if (at != end_ && *at == '.') {
      const char* const point = at++;
      if (at == end_ || !is_digit(*at)) return stop(at, "a digit is expected");
      for (; at != end_ && is_digit(*at); ++at) digits = digits * 10 + static_cast<unsigned>(*at - '0');
      places = static_cast<std::size_t>(at - point - 1);
    }
    if (at != end_ && (*at == 'e' || *at == 'E')) {
      plain = false;
      if (at = exponent(at); !at) return nullptr;
    }
    const std::string_view text(start, at);
    if (!plain || text.size() > 18) {
      value = Value::number(text);
    } else if (places == 0) {
      const auto size = static_cast<std::int64_t>(digits);
      value = Value::integer_of(text, negative ? -size : size);
    } else if (digits % 10 != 0 && digits < kExactDigits) {
      const auto size = static_cast<double>(digits) / kPowersOfTen[places];
      value = Value::fraction_of(text, negative ? -size : size);
    } else {
      value = Value::number(text);
    }
    return at;
  }
  /// A quotient of two numbers that a double holds exactly is the nearest double.
  static constexpr std::uint64_t kExactDigits = std::uint64_t{1} << 53;
  static constexpr double kPowersOfTen[] = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,
                                            1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};

  const char* exponent(const char* at) {
    ++at;
    if (at != end_ && (*at == '+' || *at == '-')) ++at;
    if (at == end_ || !is_digit(*at)) return stop(at, "a digit is expected");
    std::int64_t size = 0;
    for (; at != end_ && is_digit(*at); ++at)
      if (size <= kExponentLimit) size = size * 10 + (*at - '0');
    return size <= kExponentLimit ? at : stop(at, "the exponent is beyond 999999999");
  }

  [[gnu::always_inline]] const char* string(const char* at, std::string_view& text) {
    const char* const start = at + 1;
    at = string_end(start, end_);
    if (at == end_ || *at != '"') [[unlikely]]
      return escaped_string(start, at, text);
    text = {start, at};
    return at + 1;
  }

  /// From the first escape on, at `at`, the text is copied; what it becomes is never longer than what was written.
  const char* escaped_string(const char* start, const char* at, std::string_view& text) {
    const char* close = at;
    while (close != end_ && *close == '\\') close = string_end(std::min(close + 2, end_), end_);
    auto* const copy = arena_.array<char>(static_cast<std::size_t>(close - start));
    auto* out = std::copy(start, at, copy);
    for (;;) {
      if (at == end_) return stop(at, "the string does not end");
      if (*at == '"') break;
      if (*at != '\\') return stop(at, "a control character in a string must be escaped");
      if (at = escape(at, out); !at) return nullptr;
      const char* const next = string_end(at, end_);
      out = std::copy(at, next, out);
      at = next;
    }
    text = {copy, out};
    return at + 1;
  }

  const char* escape(const char* at, char*& out) {
    if (end_ - at < 2) return stop(end_, "the string does not end");
    switch (at[1]) {
      case '"': *out++ = '"'; break;
      case '\\': *out++ = '\\'; break;
      case '/': *out++ = '/'; break;
      case 'b': *out++ = '\b'; break;
      case 'f': *out++ = '\f'; break;
      case 'n': *out++ = '\n'; break;
      case 'r': *out++ = '\r'; break;
      case 't': *out++ = '\t'; break;
      case 'u': return unicode_escape(at, out);
      default: return stop(at, "this is no escape of JSON");
    }
    return at + 2;
  }

  const char* unicode_escape(const char* at, char*& out) {
    std::uint32_t code = 0, low = 0;
    if (!hex(at + 2, code)) return stop(at, "four hexadecimal digits are expected after \\u");
    const char* next = at + 6;
    if (code >= 0xD800 && code < 0xDC00) {
      if (end_ - next < 6 || next[0] != '\\' || next[1] != 'u' || !hex(next + 2, low) || low < 0xDC00 || low > 0xDFFF)
        return stop(at, "half of a surrogate pair stands alone");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      next += 6;
    } else if (code >= 0xDC00 && code < 0xE000) {
      return stop(at, "half of a surrogate pair stands alone");
    }
    std::string bytes;
    append_utf8(bytes, code);
    out = std::ranges::copy(bytes, out).out;
    return next;
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

  const char *const begin_, *const end_;
  const char* line_start_;
  std::uint32_t line_ = 1;
  Arena& arena_;
  const std::size_t depth_;
  Scratch& scratch_;
  const char *where_ = nullptr, *message_ = "";
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
  return malformed(text, at, "this is not UTF-8");
}

template <bool kPositions>
Result<Value> run(std::string_view text, Arena& arena, std::size_t depth) {
  static thread_local Scratch scratch;
  struct Cleared {
    Scratch& scratch;
    ~Cleared() {
      scratch.values.clear();
      scratch.members.clear();
    }
  } const cleared{scratch};
  Parser<kPositions> parser(text, arena, depth, scratch);
  Value value;
  if (parser.document(value)) [[likely]]
    return value;
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
