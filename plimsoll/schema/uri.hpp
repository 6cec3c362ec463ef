#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::schema {

/// Resolves a reference against a base (RFC 3986, section 5.2.2), fragment included.
std::string resolve_uri(std::string_view base, std::string_view reference);
/// What stands before the `#`, and after it; no fragment is an empty one.
std::pair<std::string_view, std::string_view> split_fragment(std::string_view uri);
/// Percent-decoded; nothing when an escape is malformed.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace plimsoll::schema
