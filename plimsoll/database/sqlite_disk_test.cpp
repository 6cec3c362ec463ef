#include "plimsoll/database/sqlite_disk.hpp"

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/database/test_folder.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace plimsoll::database {
namespace {

/// A page of a file, on the disk and not in memory.
class ColdPage {
 public:
  static constexpr std::size_t kSize = 4096;
  explicit ColdPage(const std::string& path) : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    EXPECT_TRUE(write_at(file_.get(), std::string(kSize, 'x'), 0));
    EXPECT_EQ(::fsync(file_.get()), 0);
    EXPECT_EQ(::posix_fadvise(file_.get(), 0, 0, POSIX_FADV_DONTNEED), 0);
  }
  int get() const { return file_.get(); }

 private:
  OwnedDescriptor file_;
};

ssize_t read_by(SqliteDisk::Access& access, const ColdPage& page) {
  char into[ColdPage::kSize];
  return access.read(page.get(), into, sizeof into, 0);
}

TEST(SqliteDisk, AnIoThreadReadsWhatIsInMemoryAndNothingElseHoweverThatIsFoundOut) {
  for (const auto look : {SqliteDisk::Look::call, SqliteDisk::Look::mapping}) {
    const TestFolder folder;
    const ColdPage page(folder / "page");
    struct statfs of{};
    ASSERT_EQ(::fstatfs(page.get(), &of), 0);
    const bool is_memory = of.f_type == TMPFS_MAGIC;
    SqliteDisk disk(1, look);
    {
      SqliteDisk::Access access(disk);
      EXPECT_EQ(read_by(access, page), is_memory ? static_cast<ssize_t>(ColdPage::kSize) : -1);
      EXPECT_EQ(access.refused(), !is_memory);
    }
    {
      SqliteDisk::Access access(disk, std::size_t{0});
      EXPECT_EQ(read_by(access, page), static_cast<ssize_t>(ColdPage::kSize)) << "a reader thread waits";
      EXPECT_FALSE(access.refused());
    }
    SqliteDisk::Access access(disk);
    EXPECT_EQ(read_by(access, page), static_cast<ssize_t>(ColdPage::kSize)) << "it is in memory now";
    char into[64];
    EXPECT_EQ(access.read(page.get(), into, sizeof into, 10 * ColdPage::kSize), 0) << "nothing is behind the end";
    EXPECT_FALSE(access.refused());
    EXPECT_EQ(disk.longest_wait(), 0);
  }
}

TEST(SqliteDisk, OfAFileSystemThatIsMemoryNothingIsAsked) {
  const ColdPage page("/dev/shm/plimsoll-" + std::to_string(::getpid()));
  ::unlink(("/dev/shm/plimsoll-" + std::to_string(::getpid())).c_str());
  SqliteDisk disk(1);
  SqliteDisk::Access access(disk);
  EXPECT_EQ(read_by(access, page), static_cast<ssize_t>(ColdPage::kSize));
  EXPECT_FALSE(access.refused());
}

TEST(SqliteDisk, AnErrorOfTheDiskIsNoWait) {
  SqliteDisk disk(1);
  SqliteDisk::Access access(disk);
  char into[8];
  EXPECT_EQ(access.read(-1, into, sizeof into, 0), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_FALSE(access.refused());
}

}  // namespace
}  // namespace plimsoll::database
