#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace plimsoll::contract {

/// One part of a multipart body: views into it.
struct Part {
  std::string_view name;          ///< of Content-Disposition
  std::string_view filename;      ///< null data: none was given
  std::string_view content_type;  ///< empty: not said (text/plain)
  std::string_view headers;       ///< all of them, raw
  std::string_view body;
};

/// The value of a parameter of a header field (`boundary` of `multipart/form-data; boundary=x`), unquoted; nothing when
/// it is not there. Escapes within quotes are left as they are.
std::optional<std::string_view> header_parameter(std::string_view field, std::string_view name);

/// Takes a multipart body apart (RFC 2046, section 5.1; RFC 7578). Nothing when it is malformed: no closing boundary,
/// a part without a name (where names are asked for), or more than `most` parts.
std::optional<std::vector<Part>> read_multipart(std::string_view body, std::string_view boundary, bool names,
                                                std::size_t most = 1000);

}  // namespace plimsoll::contract
