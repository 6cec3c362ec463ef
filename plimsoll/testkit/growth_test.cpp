// The judgement of growth itself: a cost that is quadratic in its input is reported, and one that is linear is not.

#include "plimsoll/testkit/growth.hpp"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

namespace plimsoll::testkit {
namespace {

/// Work of so many steps of a size.
Prepare steps(std::size_t (*count)(std::size_t size)) {
  return [count](std::size_t size) -> Work {
    return [n = count(size)] {
      volatile std::size_t sum = 0;
      for (std::size_t i = 0; i < n; ++i) sum = sum + i;
    };
  };
}

TEST(GrowthItself, QuadraticWorkIsReported) {
  const auto counted = count_growth(
      4000, "steps", [](std::size_t size) { return static_cast<double>(size) * static_cast<double>(size); });
  EXPECT_FALSE(counted.bounded()) << counted.text();
  EXPECT_NONFATAL_FAILURE(expect_bounded("quadratic", counted), "4.00 times per doubling");
  if (kSanitized) return;  // where nothing is measured
  const auto measured = cpu_growth(1000, steps([](std::size_t size) { return size * size; }));
  EXPECT_FALSE(measured.bounded()) << measured.text();
}

TEST(GrowthItself, WorkThatIsQuadraticFromSomeSizeOnIsReported) {
  const auto counted = count_growth(4000, "steps", [](std::size_t size) { return size <= 2000 ? 1.0 : 4.0; });
  EXPECT_NONFATAL_FAILURE(expect_bounded("a threshold", counted), "4.00 times per doubling");
}

TEST(GrowthItself, LinearWorkIsNotReported) {
  expect_bounded("steps", count_growth(4000, "steps", [](std::size_t size) { return static_cast<double>(size); }));
  expect_bounded("a loop", cpu_growth(400'000, steps([](std::size_t size) { return size; })));
}

}  // namespace
}  // namespace plimsoll::testkit
