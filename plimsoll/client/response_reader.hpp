#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::client {

inline constexpr Problem kBadAnswer{
    "bad-answer", 502, "The response of the called service cannot be read", "Check the service that was called.",
    true,         true};

/// What was answered.
struct Answer {
  std::uint16_t status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case, in the order received
  std::string body;

  /// The first of that (lower case) name; empty when there is none.
  std::string_view find(std::string_view name) const;
};

/// Reads one HTTP/1.x answer (RFC 9112) from bytes as they come; opens no socket and keeps no body. Strict where
/// laxness lets answers be confused with one another: two different lengths, a length beside a transfer coding, an
/// unknown coding are errors.
class ResponseReader {
 public:
  /// `head_request`: the answer has no body whatever its headers say. `upgrade`: the request asked for another
  /// protocol; 101 is then the final answer, and what follows its head is of that protocol.
  explicit ResponseReader(bool head_request = false, bool upgrade = false) { begin(head_request, upgrade); }
  /// Another answer, read with the memory of the last one.
  void begin(bool head_request, bool upgrade);

  struct Step {
    std::size_t consumed = 0;  ///< bytes that are done with, `data` included
    std::string_view data{};   ///< a piece of the body, within what was given
  };
  /// Takes bytes of this answer: to the end of its head, or one piece of its body. It is called again with the rest as
  /// long as there is any and the answer is not whole; what is left then is nobody's.
  Result<Step> read(std::string_view bytes);
  /// The connection has ended: whole only where that is how the answer ends.
  Result<> end();
  bool whole() const noexcept { return state_ == State::whole; }
  /// Anything of it arrived.
  bool begun() const noexcept { return begun_; }
  /// The other side has asked for the body of the request (`100 Continue`).
  bool continued() const noexcept { return continued_; }
  /// The head of the final answer, interim ones passed over, is read.
  bool head_complete() const noexcept { return head_complete_; }
  /// As the head told it; nothing where it did not.
  std::optional<std::uint64_t> content_length() const noexcept { return length_; }
  /// The connection can carry another request.
  bool reusable() const noexcept { return whole() && keep_alive_; }
  /// Of the final answer, once its head is complete.
  std::uint16_t status() const noexcept { return status_; }
  /// Adds its fields to `fields`: names in lower case, in the order received, all copied into the arena at once.
  void put_fields(Headers& fields) const;
  /// Interim answers that have come since it was asked last, but for `100 Continue`.
  std::vector<Answer> take_interim() { return std::exchange(interim_, {}); }
  /// Fields that stood behind the body, once it is whole: names in lower case, as far as they may stand there.
  std::vector<std::pair<std::string, std::string>> take_trailers() { return std::move(trailers_); }

 private:
  enum class State : std::uint8_t {
    status_line,
    fields,
    body,
    until_close,
    chunk_size,
    chunk,
    chunk_end,
    trailers,
    whole
  };
  Result<> line(std::string_view text);
  Result<> status_line(std::string_view text);
  Result<> field(std::string_view text);
  Result<> head_done();
  Result<> chunk_size(std::string_view text);
  void trailer(std::string_view text);
  Answer interim_answer() const;
  template <class F>
  void each_field(std::string_view texts, F f) const;

  bool head_request_, upgrade_;
  State state_;
  bool begun_, continued_, head_complete_, keep_alive_, chunked_;
  bool closes_, first_version_;  ///< `Connection: close`; HTTP/1.0
  std::optional<std::uint64_t> length_;
  std::uint64_t left_;   ///< of the body or chunk
  std::size_t head_;     ///< bytes of status line, fields and trailers so far
  std::string partial_;  ///< a line of which the end has not come
  std::uint16_t status_;
  /// Where name and value stand in `texts_`.
  struct Place {
    std::uint32_t name_at, name_size, value_at, value_size;
  };
  std::vector<Place> fields_;  ///< of the head
  std::string texts_;          ///< their lines, one behind another; names are in lower case
  std::vector<Answer> interim_;
  std::uint32_t interims_;  ///< so far, `100 Continue` included
  std::vector<std::pair<std::string, std::string>> trailers_;
};

}  // namespace plimsoll::client
