#pragma once

#include <string>

namespace plimsoll::command {

struct InitFrom {
  std::string url;     ///< `postgres://…` or `sqlite:FILE`
  std::string folder;  ///< that the files are written to
  bool writable = false;
};

/// What a contract and a deployment for the tables of a database would be.
struct WrittenFiles {
  std::string name;  ///< of the contract, without `.yaml`
  std::string contract, deployment;
  std::size_t tables = 0, left_out = 0;
  bool password = false;  ///< the deployment asks for it by DATABASE_PASSWORD
};

/// Reads the catalogue, writes a contract, and leaves out of it what `plimsoll check` refuses. What cannot be done has
/// been said; then the exit status is not 0.
int write_from_database(const InitFrom& options, WrittenFiles& made);

}  // namespace plimsoll::command
