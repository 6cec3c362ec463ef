#include "plimsoll/json/write.hpp"

#include "plimsoll/base/copy.hpp"
#include "plimsoll/base/digits.hpp"
#include "plimsoll/json/string_text.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

namespace plimsoll::json {
namespace {

constexpr std::string_view kNoCharacter = "\xEF\xBF\xBD";  ///< in place of what is not UTF-8
constexpr std::size_t kShortEscape = 2, kLongEscape = 6;   ///< `\n`, `\u001f`

/// What stands behind the backslash; 0: the number of the character.
char short_escape(unsigned char c) {
  switch (c) {
    case '"': return '"';
    case '\\': return '\\';
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    default: return 0;
  }
}

char* write_escaped(char* at, unsigned char c) {
  *at++ = '\\';
  if (const char letter = short_escape(c)) {
    *at++ = letter;
    return at;
  }
  constexpr char kHex[] = "0123456789abcdef";
  at = write_text(at, "u00");
  *at++ = kHex[c >> 4];
  *at++ = kHex[c & 15];
  return at;
}

/// The top bit of each of eight characters that is beyond ASCII, a control character, a quote or a backslash. Exact up
/// to the first of them; a plain one behind it may be marked too.
std::uint64_t specials(std::uint64_t eight) {
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101, kTops = 0x8080'8080'8080'8080;
  const auto quote = eight ^ kOnes * '"', slash = eight ^ kOnes * '\\';
  return (eight | (eight - kOnes * 0x20) | (quote - kOnes) | (slash - kOnes)) & kTops;
}

bool is_special(unsigned char c) { return c < 0x20 || c >= 0x80 || c == '"' || c == '\\'; }

bool any_special(std::uint64_t eight) { return specials(eight) != 0; }

template <class Word>
std::uint64_t load(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// Whether all of a text stands for itself, looked at by eights, the last of which may overlap.
bool is_plain(std::string_view text) {
  const auto* at = text.data();
  const auto size = text.size();
  if (size >= 8) {
    for (const auto* last = at + size - 8; at < last; at += 8)
      if (any_special(load<std::uint64_t>(at))) return false;
    return !any_special(load<std::uint64_t>(text.data() + size - 8));
  }
  if (size >= 4) return !any_special(load<std::uint32_t>(at) | load<std::uint32_t>(at + size - 4) << 32);
  constexpr std::uint64_t kBlanks = 0x2020'2020'2000'0000;
  return size == 0 || !any_special(kBlanks | load<std::uint8_t>(at) | load<std::uint8_t>(at + size / 2) << 8 |
                                   load<std::uint8_t>(at + size - 1) << 16);
}

/// A character that does not stand for itself as it is written, or one beyond ASCII.
struct Special {
  std::size_t at;      ///< in the text; its size where there is none
  std::size_t length;  ///< in the text
  bool utf8;           ///< it is written as it is
};

/// The first from `at` on.
Special next_special(std::string_view text, std::size_t at) {
  static_assert(std::endian::native == std::endian::little, "the first character is the lowest byte");
  for (; at + 8 <= text.size(); at += 8)
    if (const auto found = specials(load<std::uint64_t>(text.data() + at))) {
      at += static_cast<std::size_t>(std::countr_zero(found)) / 8;
      break;
    }
  while (at < text.size() && !is_special(static_cast<unsigned char>(text[at]))) ++at;
  if (at == text.size()) return {at, 0, false};
  const auto length = static_cast<unsigned char>(text[at]) < 0x80 ? 0 : utf8_length(text.substr(at));
  return {at, std::max<std::size_t>(length, 1), length != 0};
}

/// All of a string but the quote before it.
[[gnu::noinline]] char* write_escaped(char* at, std::string_view text) {
  for (std::size_t done = 0; done < text.size();) {
    const auto found = next_special(text, done);
    const auto plain = found.at + (found.utf8 ? found.length : 0) - done;
    at = write_text(at, text.substr(done, plain));
    done = found.at + found.length;
    if (found.utf8 || found.length == 0) continue;
    const auto c = static_cast<unsigned char>(text[found.at]);
    at = c < 0x80 ? write_escaped(at, c) : write_text(at, kNoCharacter);  // it must not make the document none
  }
  *at++ = '"';
  return at;
}

void append_pretty(std::string& out, const Value& value, std::size_t level) {
  const auto line = [&](std::size_t indent) {
    out += '\n';
    out.append(2 * indent, ' ');
  };
  if (value.is(Type::object) && !value.object().empty()) {
    out += '{';
    for (bool first = true; const auto& member : value.object()) {
      if (!std::exchange(first, false)) out += ',';
      line(level + 1);
      append_string(out, member.key);
      out += ": ";
      append_pretty(out, member.value, level + 1);
    }
    line(level);
    out += '}';
  } else if (value.is(Type::array) && !value.array().empty()) {
    out += '[';
    for (bool first = true; const auto& item : value.array()) {
      if (!std::exchange(first, false)) out += ',';
      line(level + 1);
      append_pretty(out, item, level + 1);
    }
    line(level);
    out += ']';
  } else {
    Writer(out).value(value);
  }
}

}  // namespace

std::size_t string_size(std::string_view text) {
  auto size = text.size() + 2;
  if (is_plain(text)) return size;
  for (auto found = next_special(text, 0); found.at < text.size();
       found = next_special(text, found.at + found.length)) {
    if (found.utf8) continue;
    const auto c = static_cast<unsigned char>(text[found.at]);
    size += (c >= 0x80 ? kNoCharacter.size() : short_escape(c) ? kShortEscape : kLongEscape) - 1;
  }
  return size;
}

char* write_string(char* at, std::string_view text) {
  *at++ = '"';
  if (!copy_unless(bytes16::escaped_in_json, text, at)) [[unlikely]]
    return write_escaped(at, text);
  at += text.size();
  *at++ = '"';
  return at;
}

void append_string(std::string& out, std::string_view text) {
  const auto before = out.size();
  const auto most = longest_string(text.size());
  const auto room = out.capacity() - before >= most ? most : string_size(text);  // measured where memory may be short
  out.resize_and_overwrite(before + room, [&](char* begin, std::size_t) {
    return static_cast<std::size_t>(write_string(begin + before, text) - begin);
  });
}

void Writer::comma() {
  if (!std::exchange(first_, false)) out_ += ',';
}

Writer& Writer::open(char c) {
  comma();
  out_ += c;
  first_ = true;
  return *this;
}

Writer& Writer::close(char c) {
  out_ += c;
  first_ = false;
  return *this;
}

Writer& Writer::key(std::string_view name) {
  comma();
  append_string(out_, name);
  out_ += ':';
  first_ = true;
  return *this;
}

Writer& Writer::string(std::string_view text) {
  comma();
  append_string(out_, text);
  return *this;
}

Writer& Writer::integer(std::int64_t value) {
  comma();
  char text[kMostDigits];
  out_.append(text, put_digits(text, value));
  return *this;
}

Writer& Writer::number(double value) {
  if (!std::isfinite(value)) return null();
  comma();
  char text[32];
  out_.append(text, std::to_chars(text, text + sizeof text, value).ptr);
  return *this;
}

Writer& Writer::boolean(bool value) { return raw(value ? "true" : "false"); }
Writer& Writer::null() { return raw("null"); }

Writer& Writer::raw(std::string_view json) {
  comma();
  out_ += json;
  return *this;
}

Writer& Writer::value(const Value& value) {
  switch (value.type()) {
    case Type::null: return null();
    case Type::boolean: return boolean(value.boolean());
    case Type::number: return raw(value.number_text());
    case Type::string: return string(value.string());
    case Type::array:
      begin_array();
      for (const auto& item : value.array()) this->value(item);
      return end_array();
    case Type::object:
      begin_object();
      for (const auto& member : value.object()) key(member.key).value(member.value);
      return end_object();
  }
  return *this;
}

std::string to_string(const Value& value) {
  std::string out;
  Writer(out).value(value);
  return out;
}

std::string to_pretty_string(const Value& value) {
  std::string out;
  append_pretty(out, value, 0);
  return out;
}

}  // namespace plimsoll::json
