#pragma once

#include "plimsoll/http/h2.hpp"
#include "plimsoll/http/h2_answer.hpp"
#include "plimsoll/http/hpack_reader.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::http {

/// Makes heads of the header blocks that come on one connection, and tells those that RFC 9113, section 8 calls
/// malformed.
class H2HeadReader {
 public:
  enum class Outcome : std::uint8_t {
    good,
    malformed,  ///< of the stream: the block was read, and the table is as it must be
    broken,     ///< no HPACK: the connection cannot go on
    too_large,  ///< far beyond what was told, and so no mistake any more
  };
  explicit H2HeadReader(const H2Options& options) : options_(options) {}

  /// A whole block. `head.ended` is asked, all else is filled; views are good until `end`.
  Outcome request(std::string_view block, H2Head& head);
  /// The same of an answer, an interim one too.
  Outcome response(std::string_view block, H2AnswerHead& head);
  /// Fields behind the content. Where there are more than may be, there are none.
  Outcome trailers(std::string_view block, std::span<const Header>& fields);
  void end();

 private:
  template <class Take>
  Outcome each(std::string_view block, Take take);
  void begin();
  bool take(const HpackReader::Field& field, H2Head& head);
  bool take(const HpackReader::Field& field, H2AnswerHead& head);
  bool pseudo(const HpackReader::Field& field, H2Head& head);
  void crumb(const HpackReader::Field& field);
  bool whole(H2Head& head);

  const H2Options& options_;
  HpackReader reader_;
  std::vector<Header> fields_;
  std::string cookies_;
  std::size_t size_ = 0, count_ = 0;  ///< of all fields, kept or not, as RFC 9113, section 6.5.2 counts
  // Of the block that is read:
  unsigned seen_ = 0;  ///< pseudo-header fields, a bit for each kind
  bool others_ = false, has_cookie_ = false;
  std::size_t hosts_ = 0, cookie_at_ = 0;
  std::string_view host_;
};

}  // namespace plimsoll::http
