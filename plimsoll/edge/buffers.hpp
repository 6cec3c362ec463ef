#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/http/h1_body.hpp"
#include "plimsoll/http/h1_head.hpp"
#include "plimsoll/http/h1_response.hpp"

#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace plimsoll::edge {

/// Bytes read and not yet used, and what is being made of them. A connection holds one only while it has any.
struct Inbox {
  static constexpr std::size_t kRoom = 16 * 1024;
  explicit Inbox(h1::HeadLimits limits) : head(limits) {}

  std::string_view unread() const { return {data.get() + begin, end - begin}; }
  bool empty() const { return begin == end; }
  /// Where the next bytes go: never empty. Moves what is unread, so views into it end here.
  std::span<char> room() {
    if (begin == end) begin = end = 0;
    if (end == capacity) {
      if (begin > 0) {
        std::memmove(data.get(), data.get() + begin, end - begin);
        end -= begin;
        begin = 0;
      } else {
        grow();
      }
    }
    return {data.get() + end, capacity - end};
  }
  void filled(std::size_t size) { end += size; }
  void used(std::size_t size) { begin += size; }
  bool usual() const { return capacity == kRoom; }

  h1::Head head;
  h1::BodyReader body;

 private:
  void grow() {
    auto more = std::make_unique_for_overwrite<char[]>(capacity * 2);
    std::memcpy(more.get(), data.get(), end);
    data = std::move(more);
    capacity *= 2;
  }
  std::size_t begin = 0, end = 0, capacity = kRoom;
  std::unique_ptr<char[]> data = std::make_unique_for_overwrite<char[]>(kRoom);
};

}  // namespace plimsoll::edge
