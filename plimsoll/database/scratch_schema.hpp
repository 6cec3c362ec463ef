#pragma once

#include "plimsoll/database/postgres.hpp"

#include <memory>
#include <string>

namespace plimsoll::database {

/// A schema of its own on a PostgreSQL server, which is all that connections by `url` see; dropped with this object,
/// with all that is in it. For what is tried out, and for tests.
class ScratchSchema {
 public:
  /// Errors: those of open_postgres; `migration` where the role may not make schemas.
  static Result<std::unique_ptr<ScratchSchema>> make(const PostgresOptions& options);
  /// Drops the schema, once: why it remains.
  Result<> drop();
  ~ScratchSchema();
  ScratchSchema(const ScratchSchema&) = delete;

  const std::string& name() const noexcept { return name_; }
  const std::string& url() const noexcept { return url_; }

 private:
  ScratchSchema(std::unique_ptr<Database> server, std::string name, std::string url);
  std::unique_ptr<Database> server_;  ///< null: it is dropped
  std::string name_, url_;
};

}  // namespace plimsoll::database
