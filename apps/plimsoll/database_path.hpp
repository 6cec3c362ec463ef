#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/database/engine.hpp"
#include "plimsoll/server/deployment.hpp"

#include <memory>
#include <string>

namespace plimsoll::command {

/// A database that a command works on: `--database`, or what the deployment names.
struct NamedDatabase {
  server::Deployment deployment;
  database::Place place;  ///< its options are of `deployment`
  const database::Engine* engine = nullptr;
};
/// An error where the folder of a database that is a file may be on a volume that is mounted later: the same command
/// may succeed then.
Result<> find_folder(const database::Engine& engine, const database::Place& place);
/// `existing`: a file must be there already, because a command that looks at it would else make an empty one and say
/// that nothing is in it.
Result<NamedDatabase> named_database(const std::string& database, const std::string& config, bool existing);
/// The same where the server itself copies, verifies and restores it.
Result<NamedDatabase> database_to_keep(const std::string& database, const std::string& config, bool existing = true);
using Purpose = database::Opening::Purpose;
/// The database itself, of whatever engine, with one connection: for commands that ask what every kind answers.
Result<std::unique_ptr<database::Database>> open_database(const std::string& database, const std::string& config,
                                                          bool existing, Purpose purpose = Purpose::command);
Result<std::unique_ptr<database::Database>> open_database(const database::Engine& engine, const database::Place& place,
                                                          Purpose purpose = Purpose::command);

}  // namespace plimsoll::command
