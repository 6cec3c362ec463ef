#include "plimsoll/base/owned_descriptor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>

namespace plimsoll {
namespace {

/// `some` moves bytes from a place on, and says how many.
template <class F>
bool all_of(std::size_t size, F some) noexcept {
  for (std::size_t done = 0; done < size;) {
    const auto moved = some(done);
    if (moved < 0 && errno == EINTR) continue;
    if (moved == 0) errno = EIO;
    if (moved <= 0) return false;
    done += static_cast<std::size_t>(moved);
  }
  return true;
}

}  // namespace

OwnedDescriptor::~OwnedDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

OwnedDescriptor unnamed_file(const std::string& folder) {
  if (OwnedDescriptor made{::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)}) return made;
  auto pattern = folder + "/plimsoll-XXXXXX";  // of a file system that does not know such files
  OwnedDescriptor made{::mkostemp(pattern.data(), O_CLOEXEC)};
  if (made) ::unlink(pattern.c_str());
  return made;
}

bool opens_at_once(const std::string& path) noexcept {
  struct stat found{};
  return ::stat(path.c_str(), &found) != 0 || S_ISREG(found.st_mode);
}

bool read_at(int file, void* into, std::size_t size, std::uint64_t at) noexcept {
  return all_of(size, [&](std::size_t done) {
    return ::pread(file, static_cast<char*>(into) + done, size - done, static_cast<off_t>(at + done));
  });
}

bool write_at(int file, std::string_view bytes, std::uint64_t at) noexcept {
  return all_of(bytes.size(), [&](std::size_t done) {
    return ::pwrite(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(at + done));
  });
}

}  // namespace plimsoll
