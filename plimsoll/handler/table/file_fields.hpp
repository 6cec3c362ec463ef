#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::table {

/// The name of a file in what a caller sends, such as `attachment; filename="a.png"` (`filename*` before `filename`,
/// RFC 6266): its last segment, without control characters, at most 255 bytes of UTF-8. Empty: there is none. It is
/// shown, and never a path.
std::string sent_file_name(std::string_view content_disposition);
/// The same of a name that has been read already.
std::string clean_file_name(std::string_view name);

/// `Content-Disposition` of a file: browsers show what cannot run scripts, and save all else.
std::string disposition_of(std::string_view media_type, std::string_view name);

/// The media type of a file as it is kept: type and subtype in lower case and, of a text, its character set. Nothing
/// where it is none.
std::optional<std::string> kept_media_type(std::string_view content_type);

}  // namespace plimsoll::table
