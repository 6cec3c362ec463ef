#include "plimsoll/database/sqlite_disk.hpp"

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/database/test_folder.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/uio.h>
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

TEST(SqliteDisk, AnIoThreadReadsWhatIsInMemoryAndNothingElse) {
  const TestFolder folder;
  const ColdPage page(folder / "page"), other(folder / "other");
  char into[ColdPage::kSize];
  const iovec part{.iov_base = into, .iov_len = sizeof into};
  const bool tells = ::preadv2(other.get(), &part, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;  // the file system
  SqliteDisk disk(1);
  {
    SqliteDisk::Access access(disk);
    EXPECT_EQ(read_by(access, page), tells ? -1 : static_cast<ssize_t>(ColdPage::kSize));
    EXPECT_EQ(access.refused(), tells);
  }
  {
    SqliteDisk::Access access(disk, std::size_t{0});
    EXPECT_EQ(read_by(access, page), static_cast<ssize_t>(ColdPage::kSize)) << "a reader thread waits";
    EXPECT_FALSE(access.refused());
  }
  SqliteDisk::Access access(disk);
  EXPECT_EQ(read_by(access, page), static_cast<ssize_t>(ColdPage::kSize)) << "it is in memory now";
  EXPECT_FALSE(access.refused());
  EXPECT_EQ(disk.longest_wait(), 0);
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
