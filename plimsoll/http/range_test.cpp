#include "plimsoll/http/range.hpp"

#include <gtest/gtest.h>

#include <string>

namespace plimsoll::http {
namespace {

using Kind = ByteRange::Kind;

TEST(ByteRange, ReadsTheThreeForms) {
  const auto check = [](std::string_view field, std::uint64_t first, std::uint64_t length) {
    const auto range = byte_range(field, 100);
    EXPECT_EQ(range.kind, Kind::part) << field;
    EXPECT_EQ(range.first, first) << field;
    EXPECT_EQ(range.length, length) << field;
  };
  check("bytes=0-0", 0, 1);
  check("bytes=0-99", 0, 100);
  check("bytes=10-19", 10, 10);
  check("bytes=10-", 10, 90);
  check("bytes=99-", 99, 1);
  check("bytes=-1", 99, 1);
  check("bytes=-100", 0, 100);
  check("bytes=-1000", 0, 100);
  check("bytes=90-1000", 90, 10);
  check("bytes=90-99999999999999999999999999", 90, 10);
  check("  Bytes= 1 - 2 ", 1, 2);
}

TEST(ByteRange, KnowsWhatNoByteSatisfies) {
  for (std::string_view field : {"bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"})
    EXPECT_EQ(byte_range(field, 100).kind, Kind::unsatisfiable) << field;
  EXPECT_EQ(byte_range("bytes=1-", 0).kind, Kind::unsatisfiable);
}

TEST(ByteRange, GivesTheWholeWhereItIsAskedForNothingElse) {
  for (std::string_view field : {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=1-2,4-5",
                                 "items=1-2", "bytes=1-2x", "bytes=--1", "bytes=+1-2", "bytes=1"})
    EXPECT_EQ(byte_range(field, 100).kind, Kind::whole) << field;
  EXPECT_EQ(byte_range("bytes=0-", 0).kind, Kind::whole);
  EXPECT_EQ(byte_range("bytes=-5", 0).kind, Kind::whole);
}

TEST(ByteRange, NamesEveryRangeOfASmallRepresentation) {
  constexpr std::uint64_t kSize = 12;
  for (std::uint64_t first = 0; first < kSize; ++first)
    for (std::uint64_t last = first; last < kSize + 2; ++last) {
      const auto range = byte_range("bytes=" + std::to_string(first) + "-" + std::to_string(last), kSize);
      ASSERT_EQ(range.kind, Kind::part);
      EXPECT_EQ(range.first, first);
      EXPECT_EQ(range.first + range.length, std::min(last + 1, kSize));
    }
}

}  // namespace
}  // namespace plimsoll::http
