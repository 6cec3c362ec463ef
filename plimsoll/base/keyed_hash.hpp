#pragma once

#include "plimsoll/base/hash.hpp"

namespace plimsoll {

/// `content_hash` under a key: whoever does not know it cannot choose contents that collide.
ContentHash content_hash(std::string_view data, std::uint64_t key) noexcept;

}  // namespace plimsoll
