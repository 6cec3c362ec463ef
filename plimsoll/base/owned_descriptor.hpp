#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace plimsoll {

/// A descriptor of a file, a folder or a socket that is closed by whoever holds it last; negative: none.
class OwnedDescriptor {
 public:
  explicit OwnedDescriptor(int descriptor = -1) noexcept : descriptor_(descriptor) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : descriptor_(other.release()) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~OwnedDescriptor();
  int get() const noexcept { return descriptor_; }
  explicit operator bool() const noexcept { return descriptor_ >= 0; }
  int release() noexcept { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

/// A new file in a folder, without a name there: it is gone when it is closed. None: `errno` says why.
OwnedDescriptor unnamed_file(const std::string& folder);

/// Whether a path can be opened to be read without a wait: a pipe waits for a writer. What is not there opens at once,
/// and fails.
bool opens_at_once(const std::string& path) noexcept;

/// Reads or writes all of so many bytes of a file at an offset, however many calls that takes. False: `errno` says why;
/// EIO where the file ends before.
bool read_at(int file, void* into, std::size_t size, std::uint64_t at) noexcept;
bool write_at(int file, std::string_view bytes, std::uint64_t at) noexcept;

}  // namespace plimsoll
