#include "plimsoll/base/uuid.hpp"

#include <gtest/gtest.h>
#include <set>

namespace plimsoll {
namespace {

TEST(Uuid, Version7CarriesTheTimeAndItsMarks) {
  // The example of RFC 9562, appendix A.6: 2022-02-22T14:22:22-05:00 is 0x017F22E279B0 milliseconds.
  const auto text = uuid7(0x017F22E279B0 * kMillisecond).to_string();
  EXPECT_EQ(text.substr(0, 15), "017f22e2-79b0-7");
  EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos) << text;
  EXPECT_TRUE(is_uuid(text));
}

TEST(Uuid, Version7AscendsWithinAMillisecondAndWhenTheClockStepsBack) {
  const Nanoseconds start = 1'900'000'000 * kSecond;
  auto last = uuid7(start);
  for (int i = 0; i < 10'000; ++i) {
    const auto next = uuid7(start - (i % 3) * kMillisecond);
    ASSERT_LT(last.bytes, next.bytes);
    ASSERT_LT(last.to_string(), next.to_string());
    last = next;
  }
}

TEST(Uuid, Version4IsMarkedAndDiffers) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto text = uuid4().to_string();
    EXPECT_EQ(text[14], '4');
    EXPECT_TRUE(seen.insert(text).second);
  }
}

TEST(Uuid, Version8IsTheBeginningOfADigest) {
  // The example of RFC 9562, appendix B.2: the namespace of names of hosts, and www.example.com.
  const std::string_view hosts("\x6b\xa7\xb8\x10\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8", 16);
  EXPECT_EQ(uuid8(sha256({hosts, "www.example.com"})).to_string(), "5c146b14-3c52-8afd-938a-375d0df1fbf6");
}

TEST(Uuid, KnowsItsForm) {
  EXPECT_TRUE(is_uuid("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"));
  EXPECT_FALSE(is_uuid("017f22e279b07cc398c4dc0c0c07398f"));
  EXPECT_FALSE(is_uuid("017f22e2-79b0-7cc3-98c4-dc0c0c07398g"));
  EXPECT_FALSE(is_uuid(""));
}

}  // namespace
}  // namespace plimsoll
