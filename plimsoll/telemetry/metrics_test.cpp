#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
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

/// The numbers of a family's buckets by `le`, as they stand in the text.
std::map<std::string, std::uint64_t> buckets_of(const std::string& text, const std::string& name) {
  std::map<std::string, std::uint64_t> found;
  const auto head = name + "_bucket{";
  for (std::size_t at = text.find(head); at != text.npos; at = text.find(head, at + 1)) {
    const auto le = text.find("le=\"", at) + 4, end = text.find('"', le);
    found[text.substr(le, end - le)] = std::stoull(text.substr(text.find(' ', end)));
  }
  return found;
}

TEST(Histogram, EverySeriesHasTheSameBounds) {
  Registry registry;
  const Label fast[] = {{"route", "/fast"}};
  registry.histogram("span_seconds", "Spans.", fast).record(400'000);
  const auto buckets = buckets_of(registry.expose(), "span_seconds");
  EXPECT_EQ(buckets.size(), 19u);
  for (const auto le : Histogram::kBounds) EXPECT_TRUE(buckets.contains(std::string(le))) << le;
  EXPECT_EQ(buckets.at("0.00025"), 0u);
  EXPECT_EQ(buckets.at("0.0005"), 1u);
  EXPECT_EQ(buckets.at("10"), 1u);
  EXPECT_EQ(buckets.at("+Inf"), 1u);
}

TEST(Histogram, CountsADurationAtABoundBelowIt) {
  for (const auto le : Histogram::kBounds) {
    const auto bound = static_cast<Nanoseconds>(std::llround(std::stod(std::string(le)) * 1e9));
    Registry registry;
    auto& histogram = registry.histogram("span_seconds", "Spans.");
    histogram.record(bound - 1), histogram.record(bound), histogram.record(bound + 1);
    EXPECT_EQ(buckets_of(registry.expose(), "span_seconds").at(std::string(le)), 2u) << le;
  }
}

TEST(Histogram, AgreesWithCountingForAnyDuration) {
  const auto seed = std::random_device{}();
  std::mt19937_64 random{seed};
  std::lognormal_distribution<double> spans{15.0, 4.0};
  Registry registry;
  auto& histogram = registry.histogram("span_seconds", "Spans.");
  std::vector<Nanoseconds> all;
  for (int i = 0; i < 20'000; ++i)
    histogram.record(all.emplace_back(static_cast<Nanoseconds>(std::min(spans(random), 1e15))));
  const auto buckets = buckets_of(registry.expose(), "span_seconds");
  for (const auto le : Histogram::kBounds) {
    const auto bound = std::stod(std::string(le)) * 1e9;
    const auto below =
        std::ranges::count_if(all, [&](Nanoseconds each) { return static_cast<double>(each) <= bound + 1e-3; });
    EXPECT_EQ(buckets.at(std::string(le)), static_cast<std::uint64_t>(below)) << le << " seed " << seed;
  }
}

TEST(Registry, AsksForWhatIsObservedUntilTheObservationEnds) {
  Registry registry;
  double level = 1.5;
  const Label labels[] = {{"pool", "a"}};
  {
    const auto seen = registry.observe(Kind::gauge, "level", "Level.", labels, [&] { return level; });
    EXPECT_NE(registry.expose().find("# TYPE level gauge\nlevel{pool=\"a\"} 1.5\n"), std::string::npos);
    level = 3;
    EXPECT_NE(registry.expose().find("level{pool=\"a\"} 3\n"), std::string::npos);
  }
  EXPECT_EQ(registry.expose(), "");
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

TEST(Registry, OfTwoReadersOfOneSeriesTheLaterCountsAndEachEndsItself) {
  Registry registry;
  const auto observed = [&](double value) {
    return registry.observe(Kind::gauge, "g", "G.", {}, [value] { return value; });
  };
  std::optional<Observation> before = observed(1), refused;
  std::optional<Observation> after = observed(2);
  EXPECT_NE(registry.expose().find("\ng 2\n"), std::string::npos) << registry.expose();
  before.reset();  // the plan that was replaced ends
  EXPECT_NE(registry.expose().find("\ng 2\n"), std::string::npos) << registry.expose();
  refused = observed(3);
  refused.reset();  // one that was never in force ends
  EXPECT_NE(registry.expose().find("\ng 2\n"), std::string::npos) << registry.expose();
  after.reset();
  EXPECT_EQ(registry.expose().find("g 2"), std::string::npos) << registry.expose();
}

/// Expects things of some routes.
struct Owner {
  std::vector<std::string_view> routes;
  void expected(Expectation::Tell tell) const {
    for (const auto route : routes) {
      const Label labels[] = {{"route", route}};
      tell(labels);
    }
  }
};

TEST(Registry, WhatIsExpectedIsZeroUntilItIsCounted) {
  Registry registry;
  const Label a[] = {{"route", "/a"}}, b[] = {{"route", "/b"}};
  const Owner first{{"/c", "/a"}}, second{{"/a", "/b"}};
  const std::string head = "# HELP things_total Things.\n# TYPE things_total counter\n";
  {
    const Expectation all{registry, Kind::counter, "things_total", "Things.", first};
    EXPECT_EQ(registry.expose(), head + "things_total{route=\"/a\"} 0\nthings_total{route=\"/c\"} 0\n");
    auto more = std::make_unique<Expectation>(registry, Kind::counter, "things_total", "Things.", second);
    registry.counter("things_total", "Things.", b).add(2);
    EXPECT_EQ(registry.expose(), head +
                                     "things_total{route=\"/a\"} 0\nthings_total{route=\"/b\"} 2\n"
                                     "things_total{route=\"/c\"} 0\n");
    registry.counter("things_total", "Things.", a).add();
    EXPECT_EQ(registry.expose(), head +
                                     "things_total{route=\"/a\"} 1\nthings_total{route=\"/b\"} 2\n"
                                     "things_total{route=\"/c\"} 0\n");
    const Expectation last{registry, Kind::gauge, "active", "Under way.", first};
    more.reset();  // between two others
    EXPECT_TRUE(
        registry.expose().starts_with("# HELP active Under way.\n# TYPE active gauge\nactive{route=\"/a\"} 0\n"));
  }
  EXPECT_EQ(registry.expose(), head + "things_total{route=\"/a\"} 1\nthings_total{route=\"/b\"} 2\n");
}

TEST(Registry, WhatIsNoLongerExpectedIsGone) {
  Registry registry;
  const Owner owner{{"/a"}};
  { const Expectation all{registry, Kind::counter, "things_total", "Things.", owner}; }
  EXPECT_EQ(registry.expose(), "");
}

}  // namespace
}  // namespace plimsoll::telemetry
