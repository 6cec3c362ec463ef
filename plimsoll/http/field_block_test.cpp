#include "plimsoll/http/field_block.hpp"

#include <gtest/gtest.h>

#include <string>

namespace plimsoll {
namespace {

TEST(FixedFields, IsItsFieldsAndTheirLines) {
  FixedFields block;
  EXPECT_EQ(block.lines, "");
  EXPECT_TRUE(block.add("x-frame-options", std::string("DENY")));
  EXPECT_TRUE(block.add("empty", ""));
  EXPECT_TRUE(block.add("a", "with\ttab"));
  const auto moved = std::move(block);
  EXPECT_EQ(moved.lines, "\r\nx-frame-options: DENY\r\nempty: \r\na: with\ttab");
  ASSERT_EQ(moved.fields.size(), 3u);
  EXPECT_EQ(moved.fields[0].name, "x-frame-options");
  EXPECT_EQ(moved.fields[0].value, "DENY");
  EXPECT_EQ(moved.fields[2].value, "with\ttab");
}

TEST(FixedFields, TakesNothingThatWouldSplitAnAnswerOrFrameIt) {
  FixedFields block;
  EXPECT_FALSE(block.add("", "x"));
  EXPECT_FALSE(block.add("a b", "x"));
  EXPECT_FALSE(block.add("a\r\nb", "x"));
  EXPECT_FALSE(block.add("Upper", "x"));
  for (char c : {'\r', '\n', '\0', '\x7f'})
    for (std::size_t at : {0, 7, 20}) {
      std::string value(21, 'v');
      value[at] = c;
      EXPECT_FALSE(block.add("a", value)) << static_cast<int>(c) << " at " << at;
    }
  for (auto name : {"connection", "keep-alive", "content-length", "transfer-encoding", "upgrade", "proxy-connection"})
    EXPECT_FALSE(block.add(name, "1")) << name;
  EXPECT_TRUE(block.fields.empty());
  EXPECT_EQ(block.lines, "");
}

}  // namespace
}  // namespace plimsoll
