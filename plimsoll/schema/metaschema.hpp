#pragma once

#include "plimsoll/json/value.hpp"

#include <string_view>

namespace plimsoll::schema {

/// The schemas that describe schemas of 2020-12, by their URI without fragment; null for others.
const json::Value* find_metaschema(std::string_view uri);

}  // namespace plimsoll::schema
