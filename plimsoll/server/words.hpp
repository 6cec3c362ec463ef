#pragma once

#include "plimsoll/config/options.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace plimsoll::server {

/// The keys of `x-plimsoll` that this version understands: those of all policies and handlers.
std::vector<const config::Key*> contract_keys();
/// The sections of `plimsoll.yaml` that policies and handlers read, each once.
std::vector<const config::Section*> deployment_sections();
/// Adds a section of the program. Before anything is read. Error: `configuration`, there is one of that name.
Result<> add_section(const config::Section& section);
/// Words of the language that it does not implement yet: refused, saying so.
std::vector<std::string_view> later_words();

}  // namespace plimsoll::server
