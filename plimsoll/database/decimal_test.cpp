#include "plimsoll/database/decimal.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

TEST(Decimal, ComparesByValueWhateverTheSize) {
  const char* ascending[] = {"-100000000000000000000.1",
                             "-2.5",
                             "-2.49",
                             "0",
                             "0.001",
                             "0.1",
                             "1",
                             "1.01",
                             "2",
                             "10",
                             "99999999999999999999.9",
                             "100000000000000000000"};
  for (std::size_t i = 0; i < std::size(ascending); ++i)
    for (std::size_t j = 0; j < std::size(ascending); ++j)
      EXPECT_EQ(compare_decimals(ascending[i], ascending[j]), i < j ? -1 : i > j)
          << ascending[i] << " " << ascending[j];
  EXPECT_EQ(compare_decimals("1.50", "1.5"), 0);
  EXPECT_EQ(compare_decimals("-0", "0.00"), 0);
  EXPECT_EQ(compare_decimals("007", "7"), 0);
}

TEST(Decimal, TextsThatAreNoNumbersSortLastAndStayATotalOrder) {
  EXPECT_EQ(compare_decimals("9", "x"), -1);
  EXPECT_EQ(compare_decimals("x", "9"), 1);
  EXPECT_EQ(compare_decimals("a", "b"), -1);
  EXPECT_EQ(compare_decimals("", ""), 0);
  for (const char* text : {"", "-", ".", "+.", "1x", "x1", "1.x", "1.2.3", "1,5", "--1", "1-", "1e3", " 1", "1 "})
    EXPECT_EQ(compare_decimals("99", text), -1) << text;
  for (const char* number : {"1.", ".5", "+1", "-.5"}) EXPECT_EQ(compare_decimals(number, ""), -1) << number;
}

TEST(Decimal, IsStoredInOneForm) {
  EXPECT_EQ(canonical_decimal("1.50"), "1.50");
  EXPECT_EQ(canonical_decimal("-0.0"), "0.0");
  EXPECT_EQ(canonical_decimal("1e3"), "1000");
  EXPECT_EQ(canonical_decimal("12.5E-3"), "0.0125");
  EXPECT_EQ(canonical_decimal("1.25e1"), "12.5");
  EXPECT_EQ(canonical_decimal("0012"), "12");
  for (const char* wrong : {"", "-", ".5", "1.", "1e", "1e99999", "0x1", "1,5", "NaN", "1e1000000000000000000000"})
    EXPECT_EQ(canonical_decimal(wrong), std::nullopt) << wrong;
}

TEST(Decimals, OfDoublesAreTheShortestThatAreReadAsThem) {
  EXPECT_EQ(decimal_of(0.1), "0.1");
  EXPECT_EQ(decimal_of(-12.5), "-12.5");
  EXPECT_EQ(decimal_of(1e20), "100000000000000000000");
  EXPECT_EQ(decimal_of(-0.0), "0");
  EXPECT_FALSE(decimal_of(1.0 / 0.0));
}

}  // namespace
}  // namespace plimsoll::database
