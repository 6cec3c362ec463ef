#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/database/database.hpp"

#include <memory>
#include <string>

namespace plimsoll::command {

/// The file of the database that a command works on: `--database`, or what the deployment names. `existing`: it must be
/// there already, because a command that looks at it would else make an empty one and say that nothing is in it.
Result<std::string> database_path(const std::string& database, const std::string& config, bool existing);
/// The database itself, of whatever kind, with one connection: for commands that ask what every kind answers.
Result<std::unique_ptr<database::Database>> open_database(const std::string& database, const std::string& config,
                                                          bool existing);

}  // namespace plimsoll::command
