#include "plimsoll/base/siphash.hpp"

#include "plimsoll/base/encoding.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace plimsoll {
namespace {

std::string counting(std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(i);
  return bytes;
}

std::string hex(const SipHashKey::Tag& tag) { return to_hex(as_text(tag)); }

/// Texts 00 01 02 … of the designers' reference, under the key 00 01 … 0f.
TEST(SipHash, GivesTheTagsOfTheReference) {
  const SipHashKey key{counting(16)};
  EXPECT_EQ(hex(key.sign({counting(0)})), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(hex(key.sign({counting(1)})), "da87c1d86b99af44347659119b22fc45");
  EXPECT_EQ(hex(key.sign({counting(7)})), "a1f1ebbed8dbc153c0b84aa61ff08239");
  EXPECT_EQ(hex(key.sign({counting(8)})), "3b62a9ba6258f5610f83e264f31497b4");
  EXPECT_EQ(hex(key.sign({counting(15)})), "5493e99933b0a8117e08ec0f97cfc3d9");
  EXPECT_EQ(hex(key.sign({counting(16)})), "6ee2a4ca67b054bbfd3315bf85230577");
  EXPECT_EQ(hex(key.sign({counting(63)})), "5150d1772f50834a503e069a973fbd7c");
}

TEST(SipHash, PartsAreAsIfTheyWereJoined) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const SipHashKey key{counting(16)};
  for (int i = 0; i < 2000; ++i) {
    const auto text = counting(random() % 60);
    const auto a = random() % (text.size() + 1), b = a + random() % (text.size() - a + 1);
    const std::string_view whole = text;
    ASSERT_EQ(hex(key.sign({whole.substr(0, a), whole.substr(a, b - a), whole.substr(b)})), hex(key.sign({whole})))
        << text.size() << " at " << a << " and " << b;
  }
}

TEST(SipHash, EachBitOfKeyAndTextChangesTheTag) {
  const auto key = counting(16), text = counting(40);
  std::set<std::string> tags{hex(SipHashKey{key}.sign({text}))};
  const auto turned = [](std::string bytes, std::size_t bit) {
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    return bytes;
  };
  for (std::size_t bit = 0; bit < key.size() * 8; ++bit)
    EXPECT_TRUE(tags.insert(hex(SipHashKey{turned(key, bit)}.sign({text}))).second) << bit;
  for (std::size_t bit = 0; bit < text.size() * 8; ++bit)
    EXPECT_TRUE(tags.insert(hex(SipHashKey{key}.sign({turned(text, bit)}))).second) << bit;
}

}  // namespace
}  // namespace plimsoll
