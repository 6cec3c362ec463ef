#pragma once

#include "plimsoll/base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::h1 {

/// Ways in which the bytes of a request are refused. After each the connection closes: where the next request begins is
/// no longer known.
inline constexpr Problem kMalformed{"malformed-request", 400, "The request is not valid HTTP",
                                    "Send a request that follows RFC 9112."};
inline constexpr Problem kTargetTooLong{"target-too-long", 414, "The request target is too long",
                                        "Shorten path and query, or send the data in a body."};
inline constexpr Problem kHeadTooLarge{"head-too-large", 431, "The header fields are too large",
                                       "Send fewer or shorter header fields."};
inline constexpr Problem kUnknownCoding{"transfer-coding-unknown", 501, "The transfer coding is not supported",
                                        "Send the body chunked, or with a Content-Length."};
inline constexpr Problem kMethodUnknown{"method-not-implemented", 501, "The method is not implemented",
                                        "CONNECT is for proxies; request the resource directly."};
inline constexpr Problem kVersionUnknown{"http-version-unknown", 505, "The HTTP version is not supported",
                                         "Use HTTP/1.1 or HTTP/2."};
inline constexpr Problem kExpectationUnknown{"expectation-failed", 417, "The expectation is not supported",
                                             "Only `Expect: 100-continue` is supported."};

struct HeadLimits {
  std::size_t head = 32 * 1024;   ///< bytes from the request line to the empty line, line endings included
  std::size_t target = 8 * 1024;  ///< bytes
  std::size_t fields = 100;       ///< field lines
};

/// A part of the buffer: offsets, because the buffer may move while a head arrives.
struct Slice {
  std::uint32_t at = 0, size = 0;
  std::string_view in(std::string_view buffer) const { return buffer.substr(at, size); }
};
struct FieldLine {
  Slice name, value;
};

/// How the end of a body is known (RFC 9112, section 6.3).
enum class Framing : std::uint8_t { none, length, chunked };

/// The head of a request (RFC 9112, sections 2 to 6), read from a buffer that fills. It looks at each byte once,
/// refuses what a server must refuse, and gives the same result however the bytes were cut.
class Head {
 public:
  explicit Head(HeadLimits limits) : limits_(limits) { fields.reserve(32); }

  enum class State : std::uint8_t { incomplete, complete, refused };
  /// `buffer`: all bytes since the end of the request before, a prefix of it unchanged since the last call.
  State read(std::string_view buffer);
  /// Begins with the next request. What was read stays valid until then.
  void reset();
  /// Some of a request has come: more than the empty lines that may stand before it.
  bool begun() const { return begun_; }

  // When complete:
  std::size_t begin = 0;  ///< where the request line begins in the buffer
  std::size_t size = 0;   ///< where the head ends in the buffer, empty line included: there the body begins
  Slice method, target, authority;
  bool absolute = false;  ///< the target is an absolute URI; then its parts are not told here (split_target)
  Slice path, query;
  bool has_query = false;
  std::vector<FieldLine> fields;
  int version = 11;  ///< 10 or 11
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;
  bool has_content_length = false;
  bool keep_alive = true;
  bool expects_continue = false;

  // When refused:
  Error error() const { return {declared(*problem_), std::string(detail_)}; }
  const Problem& problem() const { return *problem_; }
  std::string_view detail() const { return detail_; }

 private:
  [[gnu::cold]] State refuse(const Problem& problem, std::string_view detail);
  State request_line(std::string_view buffer, std::size_t end);
  State field_line(std::string_view buffer, std::size_t end);
  State target_form(std::string_view buffer);
  State finish(std::string_view buffer);
  State note(std::string_view name, std::string_view value, Slice at);
  State host(std::string_view buffer);
  State coding(std::string_view value);
  void options(std::string_view value);

  HeadLimits limits_;
  std::size_t scanned_ = 0, line_ = 0;
  bool begun_ = false, have_line_ = false, refused_ = false;
  bool has_host_ = false, has_coding_ = false, chunked_ = false, unknown_coding_ = false;
  bool close_ = false, asked_keep_alive_ = false, expects_other_ = false, empty_coding_ = false;
  Slice host_;
  std::string sound_host_;  ///< the last that was looked at and is one: most clients send the same again
  const Problem* problem_ = &kMalformed;
  std::string_view detail_;
};

}  // namespace plimsoll::h1
