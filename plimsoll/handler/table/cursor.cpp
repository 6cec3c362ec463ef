#include "plimsoll/handler/table/cursor.hpp"

#include "plimsoll/base/encoding.hpp"

#include <bit>
#include <cstring>

namespace plimsoll::table {
namespace {

using database::Cell;

constexpr std::size_t kTag = 16;
constexpr char kVersion = 1;
constexpr std::size_t kLongest = 8'192;

void put_number(std::string& out, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) out += static_cast<char>(value >> (8 * i));
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

/// Of the query's length, the query and the position: no two pairs give the same text.
Digest signature(const HmacKey& key, std::string_view position, std::string_view query) {
  std::string length;
  put_number(length, query.size());
  return key.sign({length, query, position});
}

}  // namespace

std::string CursorKey::seal(const Position& position, std::string_view query) const {
  std::string out{kVersion, static_cast<char>((position.backward ? 1 : 0) | (position.inclusive ? 2 : 0))};
  for (auto& cell : position.values) put(out, cell);
  const auto digest = signature(key_, out, query);
  out += as_text(digest).substr(0, kTag);
  return to_base64url(out);
}

std::optional<Position> CursorKey::open(std::string_view cursor, std::string_view query, std::size_t values) const {
  if (cursor.size() > kLongest) return std::nullopt;
  const auto bytes = from_base64url(cursor);
  if (!bytes || bytes->size() < kTag + 2) return std::nullopt;
  auto rest = std::string_view(*bytes).substr(0, bytes->size() - kTag);
  const auto digest = signature(key_, rest, query);
  if (!equal_in_constant_time(as_text(digest).substr(0, kTag), std::string_view(*bytes).substr(rest.size())))
    return std::nullopt;
  if (rest[0] != kVersion) return std::nullopt;
  Position position{.values = {}, .backward = (rest[1] & 1) != 0, .inclusive = (rest[1] & 2) != 0};
  rest.remove_prefix(2);
  while (!rest.empty()) {
    auto cell = take(rest);
    if (!cell) return std::nullopt;
    position.values.push_back(std::move(*cell));
  }
  if (position.values.size() != values) return std::nullopt;
  return position;
}

}  // namespace plimsoll::table
