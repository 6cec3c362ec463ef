#pragma once

#include "plimsoll/contract/bundle.hpp"

namespace plimsoll::contract {

/// Applies an Overlay 1.0.0 document, `sources[index]`, to the document itself: its actions in order, each to all nodes
/// its target selects. `update` is merged (objects by member, lists appended, other values replaced), then `remove`
/// removes.
void apply_overlay(Sources& sources, std::size_t index, Arena& arena, Report& report);

}  // namespace plimsoll::contract
