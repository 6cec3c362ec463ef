#pragma once

#include "plimsoll/config/options.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace plimsoll::server {

/// The keys of `x-plimsoll` that this version understands: those of all policies and handlers.
std::vector<const config::Key*> contract_keys();
/// Words of the language that it does not implement yet: refused, saying so.
std::vector<std::string_view> later_words();

}  // namespace plimsoll::server
