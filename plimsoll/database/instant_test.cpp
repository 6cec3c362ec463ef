#include "plimsoll/database/instant.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

TEST(Instants, AreInTheOrderOfTimeWhateverTheirFraction) {
  const std::string_view ordered[] = {"2025-12-31T23:59:59.999Z",  "2026-01-01",
                                      "2026-01-01T00:00:00Z",      "2026-01-01T00:00:00.000000001Z",
                                      "2026-01-01T00:00:00.0001Z", "2026-01-01T00:00:00.5Z",
                                      "2026-01-01T00:00:00.51Z",   "2026-01-01T00:00:01Z",
                                      "2026-01-01T00:00:10Z",      "2026-01-01T00:01:00Z"};
  for (std::size_t i = 0; i < std::size(ordered); ++i)
    for (std::size_t k = 0; k < std::size(ordered); ++k)
      EXPECT_EQ(compare_instants(ordered[i], ordered[k]), i < k ? -1 : i > k) << ordered[i] << " and " << ordered[k];
}

TEST(Instants, ZerosAtTheEndOfAFractionChangeNothing) {
  EXPECT_EQ(compare_instants("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500Z"), 0);
  EXPECT_EQ(compare_instants("2026-01-01T00:00:10Z", "2026-01-01T00:00:10.000Z"), 0);
  EXPECT_EQ(compare_instants("2026-01-01T00:00:10.0Z", "2026-01-01T00:00:1Z"), 1);
}

TEST(Instants, WhatIsNoneHasAnOrderToo) {
  EXPECT_EQ(compare_instants("", "2026-01-01T00:00:00Z"), -1);
  EXPECT_EQ(compare_instants("tomorrow", "2026-01-01T00:00:00Z"), 1);
  EXPECT_EQ(compare_instants("Z", ""), 0);
}

}  // namespace
}  // namespace plimsoll::database
