#pragma once

#include <span>
#include <string_view>

namespace plimsoll::handler::docs {

/// One file of the API reference page, part of the program. The page needs `openapi.json` beside it and nothing else;
/// under a content security policy it asks for `default-src 'none'; script-src 'self'; style-src 'self'; img-src
/// 'self'; connect-src 'self'`.
struct Asset {
  std::string_view name;        ///< `page.css`; the page itself is `index.html`
  std::string_view media_type;  ///< with charset
  std::string_view bytes;
  std::string_view etag;  ///< quoted, of the bytes
};

std::span<const Asset> assets();
/// Null when there is none of that name. The empty name is the page itself.
const Asset* asset(std::string_view name);

}  // namespace plimsoll::handler::docs
