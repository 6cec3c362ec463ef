#include "plimsoll/http/h1_response.hpp"

#include "plimsoll/base/copy.hpp"
#include "plimsoll/base/digits.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_block.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::h1 {
namespace {

struct Flat {
  char* at;
  void put(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(at, text.data(), text.size());
    at += text.size();
  }
  void number(std::uint64_t value) { at = put_digits(at, value); }
  /// Written first and looked at on the way: what would not be one field line is not taken, and the next one is written
  /// over it.
  void field(const Header& field) {
    auto* to = at;
    *to++ = '\r', *to++ = '\n';
    if (!copy_unless(bytes16::outside_lower_case_names, field.name, to)) {
      if (!is_token(field.name)) return;
      std::memcpy(to, field.name.data(), field.name.size());  // a name with capitals: perhaps only begun
    }
    if (field.name.empty()) return;
    to += field.name.size();
    *to++ = ':', *to++ = ' ';
    if (!copy_unless(bytes16::line_breaking, field.value, to)) return;
    at = to + field.value.size();
  }
};

}  // namespace

void Outbox::grow(std::size_t size) {
  const auto capacity = std::max({capacity_ * 2, size_ + size, std::size_t{4096}});
  auto data = std::make_unique_for_overwrite<char[]>(capacity);
  if (size_) std::memcpy(data.get(), data_.get(), size_);
  data_ = std::move(data);
  capacity_ = capacity;
}

void write_head(Outbox& out, const Response& response, const Framed& framed) {
  std::size_t size = 256 + framed.upgrade.size();
  for (const auto* block = response.block; block; block = block->before) size += block->lines.size();
  for (const auto& field : response.headers) size += field.name.size() + field.value.size() + 4;
  auto* const begin = out.room(size);
  Flat flat{begin};
  if (response.status == 200) {  // nearly always
    flat.put("HTTP/1.1 200 OK");
  } else {
    const auto status = response.status >= 100 && response.status <= 999 ? response.status : std::uint16_t{500};
    flat.put("HTTP/1.1 ");
    flat.number(std::uint64_t{status});
    flat.put(" ");
    flat.put(reason(status));
  }
  for (const auto& field : response.headers)
    if (!is_framing(field.name)) flat.field(field);
  for (const auto* block = response.block; block; block = block->before) flat.put(block->lines);
  if (!framed.date.empty() && !response.headers.contains("date")) {
    flat.put("\r\ndate: ");
    flat.put(framed.date);
  }
  if (framed.length == Framed::Length::known) {
    flat.put("\r\ncontent-length: ");
    flat.number(framed.size);
  } else if (framed.length == Framed::Length::chunked) {
    flat.put("\r\ntransfer-encoding: chunked");
  }
  if (!framed.upgrade.empty()) [[unlikely]] {
    flat.put("\r\nupgrade: ");
    flat.put(framed.upgrade);
    flat.put(framed.keep_alive ? "\r\nconnection: upgrade" : "\r\nconnection: upgrade, close");
  } else if (!framed.keep_alive)
    flat.put("\r\nconnection: close");
  else if (framed.version == 10)
    flat.put("\r\nconnection: keep-alive");
  flat.put("\r\n\r\n");
  out.wrote(static_cast<std::size_t>(flat.at - begin));
}

std::size_t chunk_line(char* out, std::size_t size) {
  auto* end = std::to_chars(out, out + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return static_cast<std::size_t>(end - out);
}

}  // namespace plimsoll::h1
