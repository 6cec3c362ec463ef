#pragma once

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/base/result.hpp"
#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::http {

inline constexpr Problem kMultipartMalformed{"multipart-malformed", 400, "The multipart body cannot be read",
                                             "Send multipart/form-data as RFC 7578 describes it."};
inline constexpr Problem kMultipartTooLarge{"multipart-too-large", 413, "The multipart body exceeds a limit",
                                            "Send fewer or smaller parts."};
inline constexpr Problem kMultipartStorage{"multipart-storage", 503, "A part of the multipart body could not be stored",
                                           "Repeat the request later.", true};

struct MultipartLimits {
  std::size_t parts = 100;
  std::size_t part_head = 8 << 10;               ///< bytes of the header fields of one part
  std::uint64_t part = std::uint64_t{64} << 20;  ///< bytes of one part's content
  std::size_t in_memory = 64 << 10;              ///< content of one part that is kept in memory; more goes to disk
  bool form = true;                              ///< form-data, each part of which has a name; else any multipart
};

/// The boundary of a `multipart/form-data` Content-Type (with `form` false: of any multipart type); nothing when it is
/// another type or the boundary is not 1 to 70 characters of RFC 2046, section 5.1.1.
std::optional<std::string> multipart_boundary(std::string_view content_type, bool form = true);

/// What a part says of itself (RFC 7578, section 4).
struct PartHead {
  std::string name, filename, content_type;
  bool has_filename = false;
};

/// Where the parts of a body go.
class MultipartParts {
 public:
  virtual Result<> begin(PartHead head) = 0;
  virtual Result<> data(std::string_view piece) = 0;
  virtual Result<> end() = 0;

 protected:
  ~MultipartParts() = default;
};

/// Reads a multipart body however it is cut. Holds back no more than one delimiter or one part's head.
class MultipartParser {
 public:
  MultipartParser(std::string_view boundary, const MultipartLimits& limits, MultipartParts& to);
  Result<> feed(std::string_view bytes);
  /// The body has ended: an error when it did so within a part or before the last delimiter.
  Result<> finish() const;

 private:
  enum class State : std::uint8_t { preamble, delimiter, head, content, epilogue };
  Result<bool> step();
  Result<bool> content(bool preamble);
  Result<bool> after_delimiter();
  Result<bool> head();
  std::string delimiter_, buffer_ = "\r\n";  // the first delimiter may stand at the very beginning
  MultipartLimits limits_;
  MultipartParts& to_;
  State state_ = State::preamble;
  std::size_t parts_ = 0;
  std::uint64_t size_ = 0;
};

/// One part, read. Its content is in memory, or in a file without a name that is gone when this is.
class FormPart {
 public:
  PartHead head;
  std::uint64_t size = 0;

  bool on_disk() const { return static_cast<bool>(file_); }
  std::string_view text() const { return memory_; }  ///< empty when it is on disk
  /// To read from, as long as the part is there.
  int descriptor() const { return file_.get(); }

 private:
  friend class FormParts;
  std::string memory_;
  OwnedDescriptor file_;
};

/// Gathers parts, spooling to files in `directory` what is too large for memory.
class FormParts final : public MultipartParts {
 public:
  FormParts(const MultipartLimits& limits, std::string directory) : limits_(limits), directory_(std::move(directory)) {}
  Result<> begin(PartHead head) override;
  Result<> data(std::string_view piece) override;
  Result<> end() override { return {}; }
  std::vector<FormPart> parts;

 private:
  Result<> spool(FormPart& part);
  MultipartLimits limits_;
  std::string directory_;
};

/// Reads a whole form from a request's body. Files are written where this stands, into the page cache: give a
/// `directory` on a local disk.
Task<Result<std::vector<FormPart>>> read_form(Stream& body, std::string boundary, MultipartLimits limits,
                                              std::string directory);

}  // namespace plimsoll::http
