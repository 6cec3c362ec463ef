#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <system_error>

namespace plimsoll {

/// All bytes of a file, a pipe or a terminal; of one that is longer than `most` bytes, at least one byte more than
/// that. An error is that of the system, also one that comes in the middle; a folder is `std::errc::is_a_directory`.
/// Waits for what is not there yet: see `opens_at_once`.
std::expected<std::string, std::error_code> read_file(const std::string& path, std::size_t most = SIZE_MAX);

}  // namespace plimsoll
