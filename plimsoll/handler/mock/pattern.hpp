#pragma once

#include "plimsoll/handler/mock/random.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::handler::mocking {

/// A text that an ECMA-262 pattern is likely to match: groups, alternatives, classes, quantifiers, back-references and
/// the usual escapes are followed; assertions other than `^` and `$` are passed over, so that the caller must check the
/// result. Repetitions without upper bound are made at most `extra` longer than they must be. Nothing when the pattern
/// is not understood, or the text would exceed 4096 bytes.
std::optional<std::string> text_for(std::string_view pattern, Random& random, std::size_t extra);

}  // namespace plimsoll::handler::mocking
