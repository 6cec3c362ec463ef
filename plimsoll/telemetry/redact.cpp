#include "plimsoll/telemetry/redact.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <algorithm>

namespace plimsoll::telemetry {
namespace {

constexpr std::string_view kInstead = "[redacted]";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Behind the closing quote of the string that begins at `at`, or the end of the text.
std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '"')
      return at + 1;
  }
  return text.size();
}

/// Behind the value that begins at `at`, or the end of the text.
std::size_t value_end(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  while (at < text.size()) {
    const char c = text[at];
    if (c == '"') {
      at = string_end(text, at);
      if (depth == 0) return at;
      continue;
    }
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (depth == 0 && c == ',') {
      return at;
    }
    ++at;
  }
  return text.size();
}

/// Cut, and not within a character (UTF-8).
std::string cut(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;
  text.resize(limit);
  return text;
}

}  // namespace

bool secret_name(std::string_view name, SecretNames more) noexcept {
  return redacted(name) ||
         std::ranges::any_of(more, [&](const std::string& each) { return equal_ignoring_case(each, name); });
}

std::string redact_json(std::string_view text, SecretNames more, std::size_t limit) {
  std::string out;
  std::size_t at = 0;
  while (at < text.size() && out.size() < limit) {
    if (text[at] != '"') {
      out += text[at++];
      continue;
    }
    const auto end = string_end(text, at);
    auto colon = end;
    while (colon < text.size() && is_space(text[colon])) ++colon;
    const bool names = colon < text.size() && text[colon] == ':';
    // Whatever an escape may stand for: such a name is taken for a secret one.
    const auto name = text.substr(at + 1, std::max(end, at + 2) - at - 2);
    if (!names || !(name.contains('\\') || secret_name(name, more))) {
      out += text.substr(at, end - at);
      at = end;
      continue;
    }
    auto value = colon + 1;
    while (value < text.size() && is_space(text[value])) ++value;
    out += text.substr(at, value - at);
    out += '"';
    out += kInstead;
    out += '"';
    at = value_end(text, value);
  }
  return cut(std::move(out), limit);
}

std::string redact_form(std::string_view text, SecretNames more, std::size_t limit) {
  std::string out;
  while (!text.empty() && out.size() < limit) {
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    const auto equals = pair.find('=');
    const auto name = pair.substr(0, equals);
    if (equals != pair.npos && (name.contains('%') || secret_name(name, more))) {
      out += name;
      out += '=';
      out += kInstead;
    } else {
      out += pair;
    }
    if (end < text.size()) out += '&';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return cut(std::move(out), limit);
}

}  // namespace plimsoll::telemetry
