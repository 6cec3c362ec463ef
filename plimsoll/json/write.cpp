#include "plimsoll/json/write.hpp"

#include "plimsoll/json/utf8.hpp"

#include <charconv>
#include <cmath>
#include <cstring>

namespace plimsoll::json {
namespace {

void append_escaped(std::string& out, unsigned char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
  }
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

/// How many characters from `at` on stand for themselves, looked at by eights; a few may be left for those who look at
/// each.
static std::size_t skip_plain(std::string_view text, std::size_t at) {
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101, kTops = 0x8080'8080'8080'8080;
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, text.data() + at, 8);
    // The top bit of a byte is set where it is beyond ASCII, a control character, a quote, or a backslash.
    const auto quote = eight ^ kOnes * '"', slash = eight ^ kOnes * '\\';
    if ((eight | (eight - kOnes * 0x20) | (quote - kOnes) | (slash - kOnes)) & kTops) break;
  }
  return at;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain = 0;  // start of what is copied as it stands
  const auto flush = [&](std::size_t until) { out.append(text, plain, until - plain); };
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\' && c < 0x80) {
      i = skip_plain(text, i + 1);
      continue;
    }
    if (c >= 0x80) {
      if (const auto length = utf8_length(text.substr(i))) {
        i += length;
        continue;
      }
      flush(i);
      out += "\xEF\xBF\xBD";  // what is not UTF-8 must not make the document none
    } else {
      flush(i);
      append_escaped(out, c);
    }
    plain = ++i;
  }
  flush(text.size());
  out += '"';
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
  char text[24];
  out_.append(text, std::to_chars(text, text + sizeof text, value).ptr);
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
