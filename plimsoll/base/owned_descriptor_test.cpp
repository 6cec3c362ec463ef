#include "plimsoll/base/owned_descriptor.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <cerrno>
#include <string>

namespace plimsoll {
namespace {

bool is_open(int descriptor) { return ::fcntl(descriptor, F_GETFD) >= 0; }

TEST(OwnedDescriptor, IsClosedByItsLastOwner) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  {
    OwnedDescriptor first{ends[0]};
    OwnedDescriptor last{std::move(first)};
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move)
    EXPECT_EQ(last.get(), ends[0]);
    OwnedDescriptor other{ends[1]};
    EXPECT_EQ(other.release(), ends[1]);
  }
  EXPECT_FALSE(is_open(ends[0]));
  ASSERT_TRUE(is_open(ends[1]));
  OwnedDescriptor replaced{ends[1]};
  replaced = OwnedDescriptor{};
  EXPECT_FALSE(is_open(ends[1]));
}

TEST(OwnedDescriptor, ReadsAndWritesAllAtAPlace) {
  const OwnedDescriptor file{::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
  ASSERT_TRUE(file) << "a temporary file cannot be made";
  ASSERT_TRUE(write_at(file.get(), "world", 6));
  ASSERT_TRUE(write_at(file.get(), "hello ", 0));
  std::string read(11, '?');
  EXPECT_TRUE(read_at(file.get(), read.data(), read.size(), 0));
  EXPECT_EQ(read, "hello world");
  errno = 0;
  EXPECT_FALSE(read_at(file.get(), read.data(), read.size(), 1));  // it ends before
  EXPECT_EQ(errno, EIO);
  EXPECT_FALSE(write_at(-1, "x", 0));
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace plimsoll
