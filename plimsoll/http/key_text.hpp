#pragma once

#include "plimsoll/json/value.hpp"

#include <span>
#include <string>
#include <string_view>

namespace plimsoll {

/// Keys made of several values. Each part stands behind its kind and its length, and lists behind their count, so that
/// no two sequences of values have the same text. Not JSON: that cost 3,100 instructions a request for the claims of a
/// token.
void put_part(std::string& key, char kind, std::string_view text);
/// The name of a host, which is the same in any case.
void put_authority(std::string& key, char kind, std::string_view authority);
/// Null: the value is not there.
void put_value(std::string& key, const json::Value* value);
/// Words whose order means nothing.
void put_sorted(std::string& key, char kind, std::span<const std::string_view> words);

}  // namespace plimsoll
