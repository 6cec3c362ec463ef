#include "plimsoll/base/copy.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace plimsoll {
namespace {

/// Every length to three registers, every character at every place, against the plain definition of the kind.
template <class Kind, class Expected>
void check(Kind kind, Expected expected) {
  for (std::size_t size = 0; size <= 50; ++size)
    for (std::size_t place = 0; place < size; ++place)
      for (int c = 0; c < 256; ++c) {
        std::vector<char> text(size, 'x');  // of exactly that size, so that a sanitizer sees a step beyond
        text[place] = static_cast<char>(c);
        std::vector<char> out(size, '?');
        const bool taken = copy_unless(kind, {text.data(), size}, out.data());
        ASSERT_EQ(taken, !expected(static_cast<unsigned char>(c))) << c << " at " << place << " of " << size;
        if (taken) { ASSERT_EQ(out, text) << c << " at " << place << " of " << size; }
      }
  EXPECT_TRUE(copy_unless(kind, {}, nullptr));
}

TEST(CopyUnless, FindsWhatBreaksALine) {
  check(bytes16::line_breaking, [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

TEST(CopyUnless, FindsWhatIsNoNameInLowerCase) {
  check(bytes16::outside_lower_case_names,
        [](unsigned char c) { return !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'); });
}

TEST(CopyUnless, FindsWhatJsonEscapes) {
  check(bytes16::escaped_in_json, [](unsigned char c) { return c < 0x20 || c == '"' || c == '\\' || c > 0x7f; });
}

TEST(LowerInPlace, ChangesCapitalsAndNothingElse) {
  for (std::size_t size = 0; size <= 50; ++size)
    for (std::size_t place = 0; place < size; ++place)
      for (int c = 0; c < 256; ++c) {
        std::vector<char> text(size, 'X'), expected(size, 'x');
        text[place] = expected[place] = static_cast<char>(c);
        if (c >= 'A' && c <= 'Z') expected[place] = static_cast<char>(c + 32);
        lower_in_place(text.data(), size);
        ASSERT_EQ(text, expected) << c << " at " << place << " of " << size;
      }
}

}  // namespace
}  // namespace plimsoll
