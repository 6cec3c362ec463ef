#include "plimsoll/handler/table/cursor.hpp"

#include "plimsoll/base/encoding.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace plimsoll::table {
namespace {

using database::Cell;

constexpr std::size_t kTag = 16;
constexpr char kAllValues = 3, kByKey = 4;
constexpr char kOldAllValues = 1, kOldByKey = 2;  ///< as earlier versions gave them, with HMAC-SHA256
constexpr std::size_t kRead = 8'192;              ///< characters: cursors that an earlier version gave are longer
constexpr std::size_t kHead = 2;
constexpr char kBackward = 1, kInclusive = 2;

void put_number(std::string& out, std::uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  out.append(bytes, sizeof bytes);
}

std::optional<std::uint64_t> take_number(std::string_view& rest) {
  if (rest.size() < 8) return std::nullopt;
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i)
    value |= std::uint64_t{static_cast<unsigned char>(rest[static_cast<std::size_t>(i)])} << (8 * i);
  rest.remove_prefix(8);
  return value;
}

void put(std::string& out, const Cell& cell) {
  out += static_cast<char>(cell.index());
  if (auto* integer = std::get_if<std::int64_t>(&cell)) {
    put_number(out, static_cast<std::uint64_t>(*integer));
  } else if (auto* real = std::get_if<double>(&cell)) {
    put_number(out, std::bit_cast<std::uint64_t>(*real));
  } else if (auto* text = std::get_if<std::string>(&cell)) {
    put_number(out, text->size());
    out += *text;
  }
}

std::optional<Cell> take(std::string_view& rest) {
  if (rest.empty()) return std::nullopt;
  const auto kind = rest[0];
  rest.remove_prefix(1);
  if (kind == 0) return Cell{};
  const auto number = take_number(rest);
  if (!number) return std::nullopt;
  if (kind == 1) return Cell{static_cast<std::int64_t>(*number)};
  if (kind == 2) return Cell{std::bit_cast<double>(*number)};
  if (kind != 3 || *number > rest.size()) return std::nullopt;
  Cell text{std::string(rest.substr(0, *number))};
  rest.remove_prefix(*number);
  return text;
}

/// The key's tag of the query's length, the query and the position: no two pairs give the same text.
template <class Key>
auto signature(const Key& key, std::string_view position, std::string_view query) {
  std::string length;
  put_number(length, query.size());
  return key.sign({length, query, position});
}

SipHashKey tag_key(std::string_view secret) { return SipHashKey{as_text(sha256({"cursors", secret}))}; }

std::size_t size_of(const Cell& cell) {
  const auto* text = std::get_if<std::string>(&cell);
  return 1 + (cell.index() == 0 ? 0 : 8) + (text ? text->size() : 0);
}

constexpr std::size_t characters(std::size_t bytes) { return (bytes * 4 + 2) / 3; }

char flags_of(bool backward, bool inclusive) {
  return static_cast<char>((backward ? kBackward : 0) | (inclusive ? kInclusive : 0));
}

std::size_t key_size(const std::vector<Cell>& values, std::span<const std::size_t> keys) {
  std::size_t size = 0;
  for (auto key : keys) size += size_of(values[key]);
  return size;
}
/// Bytes of a row in a cursor.
std::size_t row_size(const std::vector<Cell>& values, std::span<const std::size_t> keys) {
  return 1 + kTag + key_size(values, keys);
}
bool has_short_key(const std::vector<Cell>& values, std::span<const std::size_t> keys) {
  std::size_t size = 0;
  for (auto key : keys)
    if (const auto* text = std::get_if<std::string>(&values[key])) size += text->size();
  return size <= CursorKey::kLongestKey;
}
std::size_t whole_size(const std::vector<Cell>& values) {
  std::size_t size = kHead + kTag;
  for (auto& value : values) size += size_of(value);
  return size;
}

}  // namespace

std::size_t cursor_size(const std::vector<Cell>& values, std::span<const std::size_t> keys) {
  return std::min(characters(whole_size(values)), characters(kHead + kTag + row_size(values, keys)));
}

CursorKey::CursorKey(std::string_view secret) : key_(tag_key(secret)), hmac_(secret) {}

std::string CursorKey::signed_text(std::string bytes, std::string_view query) const {
  const auto tag = signature(key_, bytes, query);
  bytes += as_text(tag);
  return to_base64url(bytes);
}

bool CursorKey::is_signed(std::string_view bytes, std::string_view query, std::string_view tag) const {
  const bool old = bytes[0] == kOldAllValues || bytes[0] == kOldByKey;
  if (!old) return equal_in_constant_time(as_text(signature(key_, bytes, query)), tag);
  return equal_in_constant_time(as_text(signature(hmac_, bytes, query)).substr(0, kTag), tag);
}

std::string CursorKey::mark_of(const std::vector<Cell>& values, std::string_view query) const {
  std::string text{'m'};  // no cursor begins so: a mark is no signature of one
  for (auto& value : values) put(text, value);
  const auto digest = signature(hmac_, text, query);
  return std::string(as_text(digest).substr(0, kTag));
}

std::string CursorKey::seal(const Position& position, std::string_view query) const {
  std::string out;
  out.reserve(whole_size(position.values));
  out += kAllValues;
  out += flags_of(position.backward, position.inclusive);
  for (auto& cell : position.values) put(out, cell);
  return signed_text(std::move(out), query);
}

std::string CursorKey::seal(const Position& position, std::span<const std::size_t> keys,
                            const std::vector<Cell>& beyond, std::string_view query, std::size_t most) const {
  const auto whole = characters(whole_size(position.values));
  if (whole <= std::min(most, kWhole)) return seal(position, query);
  std::string out{kByKey, flags_of(position.backward, position.inclusive)};
  const auto add = [&](const std::vector<Cell>& values, bool inclusive) {
    if (values.empty() || !has_short_key(values, keys)) return;
    if (characters(out.size() + row_size(values, keys) + kTag) > std::min(most, kLongest)) return;
    out += static_cast<char>(inclusive ? 1 : 0);
    out += mark_of(values, query);
    for (auto key : keys) put(out, values[key]);
  };
  add(position.values, position.inclusive);
  add(beyond, true);
  if (out.size() > kHead) return signed_text(std::move(out), query);
  return whole <= std::min(most, kLongest) ? seal(position, query) : std::string{};
}

std::optional<Cursor> CursorKey::open(std::string_view cursor, std::string_view query, std::size_t values,
                                      std::size_t keys) const {
  if (cursor.size() > kRead) return std::nullopt;
  const auto bytes = from_base64url(cursor);
  if (!bytes || bytes->size() < kTag + kHead) return std::nullopt;
  auto rest = std::string_view(*bytes).substr(0, bytes->size() - kTag);
  if (!is_signed(rest, query, std::string_view(*bytes).substr(rest.size()))) return std::nullopt;
  const bool by_key = rest[0] == kByKey || rest[0] == kOldByKey;
  if (!by_key && rest[0] != kAllValues && rest[0] != kOldAllValues) return std::nullopt;
  Cursor made{.position = {.backward = (rest[1] & kBackward) != 0, .inclusive = (rest[1] & kInclusive) != 0}};
  rest.remove_prefix(kHead);
  const auto take_cells = [&](std::vector<Cell>& into, std::size_t count) {
    while (into.size() < count) {
      auto cell = take(rest);
      if (!cell) return false;
      into.push_back(std::move(*cell));
    }
    return true;
  };
  if (!by_key) {
    if (!take_cells(made.position.values, values) || !rest.empty()) return std::nullopt;
    return made;
  }
  while (!rest.empty()) {
    if (rest.size() < 1 + kTag) return std::nullopt;
    auto& row = made.rows.emplace_back();
    row.inclusive = rest[0] != 0;
    row.mark = rest.substr(1, kTag);
    rest.remove_prefix(1 + kTag);
    if (!take_cells(row.key, keys)) return std::nullopt;
  }
  if (made.rows.empty()) return std::nullopt;
  return made;
}

}  // namespace plimsoll::table
