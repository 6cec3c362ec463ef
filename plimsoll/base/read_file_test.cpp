#include "plimsoll/base/read_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace plimsoll {
namespace {

class ReadFile : public testing::Test {
 protected:
  ReadFile() {
    std::string name = (std::filesystem::temp_directory_path() / "plimsoll-read-XXXXXX").string();
    folder = ::mkdtemp(name.data());
  }
  ~ReadFile() override { std::filesystem::remove_all(folder); }
  std::string with(std::string_view text) const {
    std::ofstream(folder / "file", std::ios::binary) << text;
    return folder / "file";
  }
  std::filesystem::path folder;
};

TEST_F(ReadFile, GivesAllBytes) {
  EXPECT_EQ(read_file(with("")), "");
  std::string large(300'000, 'x');
  large[70'000] = '\0';
  EXPECT_EQ(read_file(with(large)), large);
}

TEST_F(ReadFile, OfATooLongOneGivesMoreThanIsAllowed) {
  const auto text = read_file(with(std::string(1'000'000, 'x')), 100'000);
  ASSERT_TRUE(text);
  EXPECT_GT(text->size(), 100'000u);
  EXPECT_LT(text->size(), 200'000u);
}

TEST_F(ReadFile, WhatCannotBeReadIsAnErrorAndNeverEmpty) {
  EXPECT_EQ(read_file(folder).error(), std::errc::is_a_directory);
  EXPECT_EQ(read_file(folder / "none").error(), std::errc::no_such_file_or_directory);
  EXPECT_EQ(read_file("/proc/self/mem").error(), std::errc::io_error);  // it opens, and its first page is not there
}

TEST_F(ReadFile, APipeIsReadToItsEnd) {
  const auto pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::jthread writer([&] { std::ofstream(pipe) << std::string(100'000, 'y'); });
  EXPECT_EQ(read_file(pipe), std::string(100'000, 'y'));
}

}  // namespace
}  // namespace plimsoll
