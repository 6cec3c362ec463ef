#include "plimsoll/http/h1_response.hpp"

#include "plimsoll/http/characters.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::h1 {
namespace {

/// Fields that are the connection's to say.
bool is_framing(std::string_view name) {
  switch (name.size()) {
    case 7: return same_as_lower(name, "upgrade");
    case 10: return same_as_lower(name, "connection") || same_as_lower(name, "keep-alive");
    case 14: return same_as_lower(name, "content-length");
    case 16: return same_as_lower(name, "proxy-connection");
    case 17: return same_as_lower(name, "transfer-encoding");
    default: return false;
  }
}

struct Flat {
  char* at;
  void put(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(at, text.data(), text.size());
    at += text.size();
  }
  void number(std::uint64_t value) { at = std::to_chars(at, at + 20, value).ptr; }
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
  std::size_t size = 256;
  for (const auto& field : response.headers) size += field.name.size() + field.value.size() + 4;
  auto* const begin = out.room(size);
  Flat flat{begin};
  const auto status = response.status >= 100 && response.status <= 999 ? response.status : std::uint16_t{500};
  flat.put("HTTP/1.1 ");
  flat.number(status);
  flat.put(" ");
  flat.put(reason(status));
  bool dated = false;
  for (const auto& field : response.headers) {
    if (is_framing(field.name)) continue;
    if (!is_token(field.name)) continue;
    if (find_control(field.value.data(), 0, field.value.size()) != field.value.size()) continue;
    dated |= field.name.size() == 4 && same_as_lower(field.name, "date");
    flat.put("\r\n");
    flat.put(field.name);
    flat.put(": ");
    flat.put(field.value);
  }
  if (!dated && !framed.date.empty()) {
    flat.put("\r\ndate: ");
    flat.put(framed.date);
  }
  if (framed.length == Framed::Length::known) {
    flat.put("\r\ncontent-length: ");
    flat.number(framed.size);
  } else if (framed.length == Framed::Length::chunked) {
    flat.put("\r\ntransfer-encoding: chunked");
  }
  if (!framed.keep_alive)
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
