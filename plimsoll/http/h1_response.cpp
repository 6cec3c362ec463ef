#include "plimsoll/http/h1_response.hpp"

#include "plimsoll/http/field_block.hpp"
#include "plimsoll/http/h1_head_writer.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::h1 {
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
  HeadWriter head{begin};
  if (response.status == 200) {  // nearly always
    head.put("HTTP/1.1 200 OK");
  } else {
    const auto status = response.status >= 100 && response.status <= 999 ? response.status : std::uint16_t{500};
    head.put("HTTP/1.1 ");
    head.number(std::uint64_t{status});
    head.put(" ");
    head.put(reason(status));
  }
  for (const auto& field : response.headers)
    if (!is_framing(field.name)) head.field(field);
  for (const auto* block = response.block; block; block = block->before) head.put(block->lines);
  if (!framed.date.empty() && !response.headers.contains("date")) {
    head.put("\r\ndate: ");
    head.put(framed.date);
  }
  if (framed.length == Framed::Length::known) {
    head.put("\r\ncontent-length: ");
    head.number(framed.size);
  } else if (framed.length == Framed::Length::chunked) {
    head.put("\r\ntransfer-encoding: chunked");
  }
  if (!framed.upgrade.empty()) [[unlikely]] {
    head.put("\r\nupgrade: ");
    head.put(framed.upgrade);
    head.put(framed.keep_alive ? "\r\nconnection: upgrade" : "\r\nconnection: upgrade, close");
  } else if (!framed.keep_alive)
    head.put("\r\nconnection: close");
  else if (framed.version == 10)
    head.put("\r\nconnection: keep-alive");
  head.put("\r\n\r\n");
  out.wrote(static_cast<std::size_t>(head.at - begin));
}

std::size_t chunk_line(char* out, std::size_t size) {
  auto* end = std::to_chars(out, out + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return static_cast<std::size_t>(end - out);
}

}  // namespace plimsoll::h1
