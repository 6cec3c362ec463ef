#include "plimsoll/server/scratch_database.hpp"

#include "plimsoll/database/database.hpp"
#include "plimsoll/database/sqlite_files.hpp"

#include <unistd.h>
#include <cstdlib>
#include <filesystem>

namespace plimsoll::server {
namespace fs = std::filesystem;

Result<std::unique_ptr<ScratchDatabase>> ScratchDatabase::of(const database::SqliteOptions& options) {
  std::error_code error;
  auto pattern = (fs::temp_directory_path(error) / "plimsoll-check-XXXXXX").string();
  if (error || !::mkdtemp(pattern.data()))
    return std::unexpected(Error{&database::kUnavailable}.because("no folder can be made as " + pattern));
  std::unique_ptr<ScratchDatabase> made{new ScratchDatabase(pattern)};
  auto to = options;
  to.path = made->path_;
  if (auto copied = database::copy_structure(options.path, to); !copied)
    return std::unexpected(std::move(copied).error());
  return made;
}

ScratchDatabase::ScratchDatabase(std::string folder) : folder_(std::move(folder)), path_(folder_ + "/scratch.db") {}

ScratchDatabase::~ScratchDatabase() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace plimsoll::server
