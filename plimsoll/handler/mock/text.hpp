#pragma once

#include "plimsoll/handler/mock/random.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::handler::mocking {

/// A text of that `format` of JSON Schema or OpenAPI, if it can be from `least` to `most` bytes long; nothing for one
/// that is not known.
std::optional<std::string> text_of_format(std::string_view format, Random& random, std::size_t least = 0,
                                          std::size_t most = SIZE_MAX);
/// Words, from `least` to `most` characters.
std::string words(Random& random, std::size_t least, std::size_t most);

}  // namespace plimsoll::handler::mocking
