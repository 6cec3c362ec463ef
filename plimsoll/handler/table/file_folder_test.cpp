#include "plimsoll/handler/table/file_folder.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <fstream>

namespace plimsoll::table {
namespace {

namespace fs = std::filesystem;

class FileFolderTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    root = fs::path(testing::TempDir()) / (std::string("files-") + test->name() + "-" + std::to_string(::getpid()));
    fs::remove_all(root);
    auto opened = FileFolder::open(root.string(), "one");
    ASSERT_TRUE(opened) << opened.error().more().cause;
    folder = *opened;
  }
  void TearDown() override { fs::remove_all(root); }

  std::string store(std::string_view text) {
    const auto name = FileFolder::new_name();
    auto file = folder->create(name);
    EXPECT_TRUE(file);
    EXPECT_EQ(::write(file->get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    EXPECT_TRUE(folder->publish(*file, "t.f", name));
    return name;
  }
  fs::path path_of(const std::string& name) const { return root / "t.f" / name.substr(0, 2) / name; }
  void age(const std::string& name) const {
    const struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 1000, .tv_nsec = 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path_of(name).c_str(), times, 0), 0);
  }
  bool is_marked(const std::string& name) const {
    struct stat seen{};
    EXPECT_EQ(::stat(path_of(name).c_str(), &seen), 0);
    return (seen.st_mode & 0200) == 0;
  }
  /// With what was aged due; `unnamed` of all that is asked about.
  std::uint64_t sweep(const std::vector<std::string>& unnamed, std::size_t most = 100) {
    auto removed = folder->sweep("t.f", 2000, most, [&](const std::vector<std::string>& names) {
      EXPECT_LE(names.size(), most);
      asked += names.size();
      std::vector<std::string> none;
      for (const auto& name : names)
        if (std::ranges::find(unnamed, name) != unnamed.end()) none.push_back(name);
      return Result<std::vector<std::string>>(none);
    });
    EXPECT_TRUE(removed);
    return removed.value_or(0);
  }

  fs::path root;
  std::shared_ptr<FileFolder> folder;
  std::size_t asked = 0;
};

TEST_F(FileFolderTest, AFileIsReadUnderItsNameAndUnderNoOther) {
  const auto name = store("bytes");
  auto file = folder->read("t.f", name);
  ASSERT_TRUE(file);
  char text[8] = "";
  EXPECT_EQ(::read(file->get(), text, sizeof text), 5);
  EXPECT_STREQ(text, "bytes");
  EXPECT_TRUE(fs::is_empty(root / "incoming"));
  for (const auto& other : {std::string(), std::string(".."), "../" + name, name + "/", name.substr(1), name + "0",
                            std::string(32, 'A'), std::string(32, '.'), std::string("ab\0", 3) + name.substr(3)})
    EXPECT_FALSE(folder->read("t.f", other)) << other;
  EXPECT_FALSE(folder->read("t.g", name));
  fs::remove(path_of(name));
  std::ofstream(root / "outside") << "secret";
  fs::create_symlink(root / "outside", path_of(name));
  EXPECT_FALSE(folder->read("t.f", name)) << "a link leads out of the folder";
}

TEST_F(FileFolderTest, PartsOfTheFolderAreNamedByTablesAndFilesWhateverTheyAreCalled) {
  EXPECT_EQ(FileFolder::area_of("products", "image"), "products.image");
  EXPECT_EQ(FileFolder::area_of("../a b", ".."), "%2e%2e%2fa%20b.%2e%2e");
  EXPECT_NE(FileFolder::area_of("a.b", "c"), FileFolder::area_of("a", "b.c"));
  EXPECT_NE(FileFolder::area_of("%2e", "c"), FileFolder::area_of(".", "c"));
}

TEST_F(FileFolderTest, BelongsToTheDatabaseThatOpenedItFirst) {
  EXPECT_TRUE(FileFolder::open(root.string(), "one"));
  auto other = FileFolder::open(root.string(), "two");
  ASSERT_FALSE(other);
  EXPECT_TRUE(other.error().more().cause.contains("holds the files of another database")) << other.error().more().cause;
  EXPECT_FALSE(FileFolder::open((root / "no" / "where").string(), "one"));
}

TEST_F(FileFolderTest, WhatNoRowNamesIsMarkedThenRemovedAndTheRestIsLeftAlone) {
  const auto kept = store("kept"), gone = store("gone"), young = store("young");
  age(kept), age(gone);
  const std::vector<std::string> unnamed{gone, young};
  EXPECT_EQ(sweep(unnamed), 0u);
  EXPECT_TRUE(is_marked(gone));
  EXPECT_FALSE(is_marked(kept));
  EXPECT_FALSE(is_marked(young)) << "its transaction may not have committed";
  EXPECT_EQ(sweep(unnamed), 0u) << "marked, and not for so long";
  age(gone);
  EXPECT_EQ(sweep(unnamed), 1u);
  EXPECT_FALSE(fs::exists(path_of(gone)));
  EXPECT_TRUE(fs::exists(path_of(kept)) && fs::exists(path_of(young)));
}

TEST_F(FileFolderTest, AMarkIsTakenOffWhereARowNamesTheFileAfterAll) {
  const auto name = store("back");
  age(name);
  EXPECT_EQ(sweep({name}), 0u);
  age(name);
  EXPECT_EQ(sweep({}), 0u);
  EXPECT_FALSE(is_marked(name));
  EXPECT_EQ(sweep({name}), 0u) << "from the beginning";
  EXPECT_TRUE(fs::exists(path_of(name)));
}

TEST_F(FileFolderTest, ManyNamesAreAskedForInPartsAndAnErrorEndsTheLook) {
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) age(names.emplace_back(store("x")));
  EXPECT_EQ(sweep(names, 2), 0u);
  EXPECT_EQ(asked, names.size());
  for (const auto& name : names) age(name);
  std::size_t calls = 0;
  auto failed = folder->sweep("t.f", 2000, 2, [&](const std::vector<std::string>& some) {
    return ++calls == 3 ? Result<std::vector<std::string>>(fail(kInternal)) : Result<std::vector<std::string>>(some);
  });
  EXPECT_FALSE(failed);
  EXPECT_EQ(calls, 3u);
  const auto left = static_cast<std::uint64_t>(
      std::ranges::count_if(names, [&](const auto& name) { return fs::exists(path_of(name)); }));
  EXPECT_GE(left, names.size() - 4) << "of two looks of two";
  EXPECT_EQ(sweep(names), left);
}

TEST_F(FileFolderTest, WhatWasBegunAndNeverPublishedIsRemoved) {
  const auto name = FileFolder::new_name();
  ASSERT_TRUE(folder->create(name));
  EXPECT_EQ(folder->sweep_incoming(2000).value_or(9), 0u);
  const struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 0}, {.tv_sec = 1000, .tv_nsec = 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (root / "incoming" / name).c_str(), times, 0), 0);
  EXPECT_EQ(folder->sweep_incoming(2000).value_or(9), 1u);
  EXPECT_TRUE(fs::is_empty(root / "incoming"));
}

}  // namespace
}  // namespace plimsoll::table
