#include "plimsoll/http/trace_context.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/http/characters.hpp"

#include <algorithm>

namespace plimsoll::http {
namespace {

constexpr std::size_t kParent = 55;  // of version 00
constexpr std::size_t kMostMembers = 32, kMostOfKey = 256, kMostOfValue = 256;

constexpr bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return is_hex(c); });
}
bool is_id(std::string_view text) { return is_hex(text) && text.find_first_not_of('0') != text.npos; }

constexpr bool begins_key(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
constexpr bool is_of_key(char c) { return begins_key(c) || std::string_view("_-*/@").contains(c); }
constexpr bool is_of_value(char c) { return c >= 0x20 && c <= 0x7e && c != ',' && c != '='; }

bool is_member(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == text.npos) return false;
  const auto key = text.substr(0, equals), value = text.substr(equals + 1);
  return !key.empty() && key.size() <= kMostOfKey && begins_key(key[0]) && std::ranges::all_of(key, is_of_key) &&
         !value.empty() && value.size() <= kMostOfValue && std::ranges::all_of(value, is_of_value);
}

}  // namespace

std::optional<TraceParent> read_traceparent(std::string_view text) {
  if (text.size() < kParent || text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
  const auto version = text.substr(0, 2), flags = text.substr(53, 2);
  if (text.size() > kParent && (version == "00" || text[kParent] != '-')) return std::nullopt;
  const TraceParent read{.trace_id = text.substr(3, 32), .parent_id = text.substr(36, 16)};
  if (!is_hex(version) || version == "ff" || !is_id(read.trace_id) || !is_id(read.parent_id) || !is_hex(flags))
    return std::nullopt;
  const auto bits = hex_value(flags[1]);
  return TraceParent{read.trace_id, read.parent_id, (bits & 1) != 0, (bits & 2) != 0};
}

bool is_tracestate(std::string_view text) {
  std::size_t members = 0;
  bool good = true;
  each_of(text, [&](std::string_view member) { good = good && ++members <= kMostMembers && is_member(member); });
  return good && members > 0;
}

}  // namespace plimsoll::http
