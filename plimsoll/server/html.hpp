#pragma once

#include <string>
#include <string_view>

namespace plimsoll::server {

/// Text as it stands in HTML, in attributes too.
std::string escaped_html(std::string_view text);
/// A whole page: `body` is HTML. It looks as the API reference does.
std::string html_page(std::string_view title, const std::string& body);
/// The content security policy of such a page: its own style, and nothing else.
std::string html_page_policy();

}  // namespace plimsoll::server
