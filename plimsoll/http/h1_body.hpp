#pragma once

#include "plimsoll/http/h1_head.hpp"
#include "plimsoll/http/message.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::h1 {

/// The body of a request, cut out of the bytes that follow its head (RFC 9112, sections 6 and 7). Copies nothing: the
/// data is a view into what it was given.
class BodyReader {
 public:
  enum class State : std::uint8_t { incomplete, complete, refused };
  struct Step {
    State state = State::incomplete;
    std::size_t consumed = 0;  ///< bytes of `input` that are done with, `data` included
    std::string_view data{};
  };
  /// Bytes of chunk extensions, of zeros before sizes and of trailers that are taken in all.
  static constexpr std::size_t kOverhead = 16 * 1024;
  static constexpr std::size_t kMostTrailers = 100;

  void begin(Framing framing, std::uint64_t length) {
    *this = {};
    framing_ = framing;
    left_ = length;
    if (framing == Framing::none || (framing == Framing::length && length == 0)) where_ = Where::end;
  }
  /// The next piece. Asked again with the rest, it gives the same pieces of body however the input was cut.
  Step read(std::string_view input);
  bool complete() const { return where_ == Where::end; }
  /// Fields that stood behind a chunked body that is complete, copied into the arena: names in lower case. Where there
  /// are more than `kMostTrailers`, there are none.
  std::span<const Header> trailers(Arena& arena) const;
  /// Bytes that are known to come still; of a chunked body those of this chunk.
  std::uint64_t left() const { return left_; }
  Framing framing() const { return framing_; }
  Error error() const { return {&kMalformed, std::string(detail_)}; }
  std::string_view detail() const { return detail_; }

 private:
  enum class Where : std::uint8_t {
    size_first,
    size,
    extension_blank,
    extension_start,
    extension_name,
    extension_equals,
    extension_value_start,
    extension_value,
    extension_quoted,
    extension_escape,
    extension_after,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer_name,
    trailer_value,
    trailer_lf,
    last_lf,
    end,
    refused
  };
  bool control(char c);
  bool wrong(std::string_view detail);
  void keep(char c);

  Framing framing_ = Framing::none;
  Where where_ = Where::size_first;
  std::uint64_t left_ = 0;
  std::size_t overhead_ = 0;
  std::string_view detail_;
  std::unique_ptr<std::string> trailers_;  ///< lines that end with LF; most bodies have none
};

}  // namespace plimsoll::h1
