#include "plimsoll/json/yaml_scalar.hpp"

#include "plimsoll/json/number.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::json {
namespace {

bool is_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, text) != words.end();
}

std::size_t digits(std::string_view text, std::size_t from) {
  std::size_t at = from;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at - from;
}

/// JSON's form of a decimal number of the core schema, or empty when it is none.
std::string decimal(std::string_view text) {
  std::string out;
  if (text.starts_with('-')) out = '-';
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const auto whole = digits(text, 0);
  auto at = whole;
  std::string_view fraction;
  if (at < text.size() && text[at] == '.') {
    const auto length = digits(text, at + 1);
    fraction = text.substr(at + 1, length);
    at += 1 + length;
  }
  if (whole == 0 && fraction.empty()) return {};
  const auto mantissa_end = at;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const auto length = digits(text, at);
    if (length == 0 || length > 9) return {};
    at += length;
  }
  if (at != text.size()) return {};
  auto integer = text.substr(0, whole);
  while (integer.size() > 1 && integer.front() == '0') integer.remove_prefix(1);
  out += integer.empty() ? "0" : integer;
  if (!fraction.empty()) out.append(".").append(fraction);
  return out.append(text.substr(mantissa_end));
}

/// `0o17` and `0x1F` as decimals, or empty.
std::string based(std::string_view text) {
  const int base = text.starts_with("0o") ? 8 : text.starts_with("0x") ? 16 : 0;
  std::uint64_t number = 0;
  if (base == 0 || text.size() == 2) return {};
  const auto* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data() + 2, end, number, base);
  if (stopped != end || error != std::errc{} || text[2] == '-') return {};
  return std::to_string(number);
}

}  // namespace

std::expected<Value, std::string> plain_scalar(std::string_view text, Arena& arena) {
  if (text.empty() || is_any(text, {"null", "Null", "NULL", "~"})) return Value();
  if (is_any(text, {"true", "True", "TRUE"})) return Value::of(true);
  if (is_any(text, {"false", "False", "FALSE"})) return Value::of(false);
  const char c = text.front();
  if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.') {
    auto number = decimal(text);
    if (number.empty()) number = based(text);
    if (!number.empty()) return Value::number(arena.keep(number));
    auto word = text;
    if (c == '-' || c == '+') word.remove_prefix(1);
    if (is_any(word, {".inf", ".Inf", ".INF"}) || is_any(text, {".nan", ".NaN", ".NAN"}))
      return std::unexpected(std::string(text) + " cannot be said in JSON; quote it if it is text");
  }
  return Value::of(arena.keep(text));
}

std::expected<Value, std::string> tagged_scalar(std::string_view tag, std::string_view text, Arena& arena) {
  constexpr std::string_view kCore = "tag:yaml.org,2002:";
  const auto kind = tag.starts_with(kCore) ? tag.substr(kCore.size()) : std::string_view();
  if (kind == "str") return Value::of(arena.keep(text));
  if (!is_any(kind, {"null", "bool", "int", "float"}))
    return std::unexpected("the tag " + std::string(tag) + " is not known");
  auto value = plain_scalar(text, arena);
  if (!value) return value;
  const bool fits = (kind == "null" && value->is(Type::null)) || (kind == "bool" && value->is(Type::boolean)) ||
                    (kind == "int" && value->is(Type::number) && is_integer(*value)) ||
                    (kind == "float" && value->is(Type::number));
  if (!fits) return std::unexpected("\"" + std::string(text) + "\" does not fit the tag !!" + std::string(kind));
  return value;
}

}  // namespace plimsoll::json
