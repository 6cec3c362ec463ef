#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::contract {

/// An I-Regexp (RFC 9485) as an expression of ECMA-262, by the mapping of section 5.3; nothing when the text is none.
/// `^` and `$` are taken as anchors, as the compliance suite of JSONPath does.
std::optional<std::string> ecma_of_i_regexp(std::string_view pattern);

}  // namespace plimsoll::contract
