#pragma once

#include "plimsoll/database/sqlite.hpp"

#include <memory>
#include <string>

namespace plimsoll::server {

/// A database of its own that has all tables of another and none of its rows, in a folder that goes when it does: what
/// a start would do to a database can be tried there.
class ScratchDatabase {
 public:
  static Result<std::unique_ptr<ScratchDatabase>> of(const database::SqliteOptions& options);
  ~ScratchDatabase();
  ScratchDatabase(const ScratchDatabase&) = delete;
  const std::string& path() const { return path_; }

 private:
  explicit ScratchDatabase(std::string folder);
  std::string folder_, path_;
};

}  // namespace plimsoll::server
