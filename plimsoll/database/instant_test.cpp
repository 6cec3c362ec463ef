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

TEST(Instants, AreReadInTheFormsOfSqlitesDateFunctions) {
  const std::pair<std::string_view, std::string_view> read[] = {
      {"2026-01-31 09:30:00", "2026-01-31T09:30:00Z"},    {"2026-01-31 09:30:00.500", "2026-01-31T09:30:00.500Z"},
      {"2026-01-31 09:30", "2026-01-31T09:30:00Z"},       {"2026-01-31T09:30", "2026-01-31T09:30:00Z"},
      {"2026-01-31 09:30+01:00", "2026-01-31T08:30:00Z"}, {"2026-01-31T09:30:00+01:00", "2026-01-31T08:30:00Z"},
      {"2026-01-31T09:30:00Z", "2026-01-31T09:30:00Z"},   {"2026-01-31", "2026-01-31T00:00:00Z"},
  };
  for (auto& [text, utc] : read) EXPECT_EQ(stored_instant(text).value_or("none"), utc) << text;
  for (std::string_view none : {"", "1769850600", "now", "2026-02-30", "2026-01-31 25:00:00", "2026-01-31 09:30:00 CET",
                                "2026-01-31T", "31.01.2026 09:30:00", "2026-01-31 09:30:00+1"})
    EXPECT_FALSE(stored_instant(none)) << none;
}

}  // namespace
}  // namespace plimsoll::database
