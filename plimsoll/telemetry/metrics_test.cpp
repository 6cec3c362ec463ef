#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>
#include <cmath>
#include <random>
#include <thread>

namespace plimsoll::telemetry {
namespace {

TEST(Counter, AddsUpWhatAllThreadsCounted) {
  Counter counter;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) counter.add();
    });
  threads.clear();
  EXPECT_EQ(counter.value(), 4000u);
}

TEST(Histogram, KeepsQuantilesWithinFivePercent) {
  const auto seed = std::random_device{}();
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937_64 random{seed};
  std::lognormal_distribution<double> spans{13.0, 1.5};  // nanoseconds: around 0.4 ms, with a long tail
  Histogram histogram;
  std::vector<double> all;
  for (int i = 0; i < 50'000; ++i) {
    all.push_back(std::max(2000.0, spans(random)));
    histogram.record(static_cast<Nanoseconds>(all.back()));
  }
  std::ranges::sort(all);
  for (const double q : {0.5, 0.95, 0.99}) {
    const double exact = all[static_cast<std::size_t>(q * static_cast<double>(all.size()))];
    EXPECT_NEAR(histogram.quantile(q), exact, exact * 0.05) << "seed " << seed << " quantile " << q;
  }
}

TEST(Registry, ExposesPrometheusText) {
  Registry registry;
  const Label labels[] = {{"route", "/a\"b"}};
  registry.counter("things_total", "Things.", labels).add(3);
  EXPECT_EQ(&registry.counter("things_total", "Things.", labels), &registry.counter("things_total", "Things.", labels));
  registry.gauge("level", "Level.").set(-2);
  registry.histogram("span_seconds", "Spans.").record(1'000'000);
  const auto text = registry.expose();
  EXPECT_NE(text.find("# TYPE things_total counter\nthings_total{route=\"/a\\\"b\"} 3\n"), std::string::npos) << text;
  EXPECT_NE(text.find("level -2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("span_seconds_bucket{le=\"+Inf\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("span_seconds_count 1\n"), std::string::npos) << text;
}

TEST(Registry, WhatIsExpectedIsZeroUntilItIsCounted) {
  Registry registry;
  const Label expected[] = {{"route", "/a"}}, other[] = {{"route", "/b"}};
  registry.expect("things_total", "Things.", expected);
  registry.counter("things_total", "Things.", other).add(2);
  registry.expect("things_total", "Things.", other);
  EXPECT_EQ(registry.expose(),
            "# HELP things_total Things.\n# TYPE things_total counter\n"
            "things_total{route=\"/a\"} 0\nthings_total{route=\"/b\"} 2\n");
  registry.counter("things_total", "Things.", expected).add();
  EXPECT_NE(registry.expose().find("things_total{route=\"/a\"} 1\n"), std::string::npos);
}

}  // namespace
}  // namespace plimsoll::telemetry
