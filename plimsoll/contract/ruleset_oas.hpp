#pragma once

#include <string_view>

namespace plimsoll::contract::ruleset {

/// Rules of `spectral:oas` that no rule of ours is like, written as a ruleset.
extern const std::string_view kOasRules;

}  // namespace plimsoll::contract::ruleset
