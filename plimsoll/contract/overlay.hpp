#pragma once

#include "plimsoll/contract/bundle.hpp"

namespace plimsoll::contract {

/// Applies an Overlay 1.1.0 or 1.0.0 document, `sources[index]`, to the document itself: its actions in order, each to
/// all nodes its target selects. `update`, or what `copy` selects, is merged: objects by member, lists appended, other
/// values replaced. `remove` removes, and wins. Nothing is applied of an overlay that is not valid.
void apply_overlay(Sources& sources, std::size_t index, Arena& arena, Report& report);

}  // namespace plimsoll::contract
