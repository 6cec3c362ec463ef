#pragma once

#include <string>
#include <string_view>

namespace plimsoll::server {

/// Text as it stands in HTML, in attributes too.
std::string escaped_html(std::string_view text);
/// A whole page: `body` is HTML.
std::string html_page(std::string_view title, const std::string& body);

}  // namespace plimsoll::server
