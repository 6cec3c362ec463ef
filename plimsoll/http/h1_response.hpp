#pragma once

#include "plimsoll/http/message.hpp"

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

namespace plimsoll::h1 {

/// Bytes on their way out: grows, keeps its memory, and is filled by the flat writer below.
class Outbox {
 public:
  /// Room for `size` more bytes; what is written there is taken by `wrote`.
  char* room(std::size_t size) {
    if (capacity_ - size_ < size) grow(size);
    return data_.get() + size_;
  }
  void wrote(std::size_t size) { size_ += size; }
  void append(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(room(text.size()), text.data(), text.size());
    size_ += text.size();
  }
  void clear() { size_ = 0; }
  /// Takes away what stands first.
  void drop(std::size_t size) {
    std::memmove(data_.get(), data_.get() + size, size_ - size);
    size_ -= size;
  }
  std::string_view text() const { return {data_.get(), size_}; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }

 private:
  void grow(std::size_t size);
  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0, capacity_ = 0;
};

/// What the connection knows of an answer, beside the answer.
struct Framed {
  enum class Length : std::uint8_t { none, known, chunked, until_close };
  Length length = Length::known;  ///< how the receiver sees the body's end; `none`: the status has no body at all
  std::uint64_t size = 0;         ///< when known
  bool keep_alive = true;
  int version = 11;         ///< of the request
  std::string_view date{};  ///< IMF-fixdate
  /// Of 101 and 426: the protocol of `Upgrade`; empty: there is none.
  std::string_view upgrade{};
};

/// Writes status line, fields and empty line, all in one piece. The answer's own Connection, Keep-Alive,
/// Transfer-Encoding, Upgrade and Content-Length are left out, because framing is the connection's; a field whose name
/// or value would end its line is left out too, so that no answer can be split.
void write_head(Outbox& out, const Response& response, const Framed& framed);

/// The line before a chunk of `size` bytes, into `out` (at least 20 bytes); gives its length.
std::size_t chunk_line(char* out, std::size_t size);

inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

}  // namespace plimsoll::h1
