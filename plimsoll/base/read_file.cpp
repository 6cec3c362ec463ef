#include "plimsoll/base/read_file.hpp"

#include "plimsoll/base/owned_descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace plimsoll {

std::expected<std::string, std::error_code> read_file(const std::string& path, std::size_t most) {
  const auto failed = [] { return std::unexpected(std::error_code(errno, std::generic_category())); };
  const OwnedDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file) return failed();
  struct stat about{};
  if (::fstat(file.get(), &about) != 0) return failed();
  std::string text;
  if (about.st_size > 0) text.reserve(std::min(static_cast<std::size_t>(about.st_size), most));
  for (char piece[65536]; text.size() <= most;) {
    const auto got = ::read(file.get(), piece, sizeof piece);
    if (got == 0) break;
    if (got > 0)
      text.append(piece, static_cast<std::size_t>(got));
    else if (errno != EINTR)
      return failed();
  }
  return text;
}

}  // namespace plimsoll
