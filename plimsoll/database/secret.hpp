#pragma once

#include "plimsoll/database/database.hpp"

#include <string>
#include <string_view>

namespace plimsoll::database {

/// A secret that lives in the database, so that every instance reads the same; made at the first question. Blocks: for
/// starts.
Result<std::string> secret_of(Database& database, std::string_view name);

}  // namespace plimsoll::database
