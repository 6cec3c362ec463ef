#include "plimsoll/base/timestamp.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(Timestamp, IsWrittenInUtcToMillisecondsOrSeconds) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(rfc3339_seconds(0), "1970-01-01T00:00:00Z");
  constexpr Nanoseconds kLeapDay = 1'709'210'096 * kSecond + 7 * kMillisecond + 999'999;
  EXPECT_EQ(rfc3339(kLeapDay), "2024-02-29T12:34:56.007Z");
  EXPECT_EQ(rfc3339_seconds(kLeapDay / kSecond), "2024-02-29T12:34:56Z");
  EXPECT_EQ(rfc3339_seconds(253'402'300'799), "9999-12-31T23:59:59Z");  // of certificates that do not expire
  EXPECT_EQ(rfc3339(-1), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace plimsoll
