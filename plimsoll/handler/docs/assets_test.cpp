#include "plimsoll/handler/docs/assets.hpp"

#include <gtest/gtest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

namespace plimsoll::handler::docs {
namespace {

std::string file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(DocsAssets, AreTheFilesOfThePageByteForByte) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/plimsoll/handler/docs/page")) {
    const auto name = entry.path().filename().string();
    names.insert(name);
    ASSERT_TRUE(asset(name)) << name;
    EXPECT_EQ(asset(name)->bytes, file(entry.path())) << name;
  }
  EXPECT_EQ(names.size(), assets().size());
}

TEST(DocsAssets, TheEmptyNameIsThePage) {
  ASSERT_TRUE(asset(""));
  EXPECT_EQ(asset("")->media_type, "text/html; charset=utf-8");
  EXPECT_EQ(asset("")->etag.front(), '"');
}

TEST(DocsAssets, ANameThatIsNoneGivesNothing) {
  EXPECT_FALSE(asset("../page.css"));
  EXPECT_FALSE(asset("page.cs"));
}

// An inline script, style or handler would need a hole in the content security policy.
TEST(DocsAssets, ThePageHasNothingInline) {
  const auto page = asset("")->bytes;
  EXPECT_EQ(page.find("<style"), page.npos);
  EXPECT_EQ(page.find("style="), page.npos);
  EXPECT_EQ(page.find(" on"), page.npos);
  for (auto at = page.find("<script"); at != page.npos; at = page.find("<script", at + 1))
    EXPECT_EQ(page.substr(at, 12), "<script src=");
}

}  // namespace
}  // namespace plimsoll::handler::docs
