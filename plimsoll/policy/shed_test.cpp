#include "plimsoll/policy/shed_gate.hpp"

#include "plimsoll/policy/trial.hpp"

#include <thread>

namespace plimsoll::policy {
extern const Part shed;
namespace {

constexpr const Part* kParts[] = {&shed};
constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: T, version: '1'}
paths:
  /c: {get: {operationId: critical, x-plimsoll: {priority: critical}, responses: {'200': {description: ok}}}}
  /d: {get: {operationId: default, responses: {'200': {description: ok}}}}
  /s: {get: {operationId: sheddable, x-plimsoll: {priority: sheddable}, responses: {'200': {description: ok}}}}
  /x: {get: {operationId: wrong, x-plimsoll: {priority: urgent}, responses: {'200': {description: ok}}}}
  /o: {get: {operationId: off, x-plimsoll: {priority: off}, responses: {'200': {description: ok}}}}
)";

struct House : Trial {
  House() : Trial(kContract, kParts, "shed: {concurrency: 20}") {}
  /// Exchanges that are under way until they are dropped.
  bool begin(std::string_view operation) {
    auto& policy = built[std::string(operation)];
    if (!policy) policy = build(shed, operation).value();
    auto exchange = std::make_unique<Exchange>(*this, operation, "192.0.2.1");
    auto verdict = exchange->check(*policy);
    refusal = verdict ? Error{} : std::move(verdict).error();
    if (verdict) under_way.push_back(std::move(exchange));
    return verdict.has_value();
  }
  std::map<std::string, std::unique_ptr<Policy>> built;
  std::vector<std::unique_ptr<Exchange>> under_way;
  Error refusal;
};

TEST(Shed, WhatIsSheddableGoesFirstAndWhatIsCriticalLast) {
  House house;
  for (int i = 0; i < 15; ++i) ASSERT_TRUE(house.begin("sheddable")) << i;
  EXPECT_FALSE(house.begin("sheddable"));
  for (int i = 15; i < 18; ++i) ASSERT_TRUE(house.begin("default")) << i;
  EXPECT_FALSE(house.begin("default"));
  for (int i = 18; i < 20; ++i) ASSERT_TRUE(house.begin("critical")) << i;
  EXPECT_FALSE(house.begin("critical"));
  EXPECT_EQ(house.refusal.problem->status, 503);
  EXPECT_GE(house.refusal.more().retry_after, 1);
  EXPECT_LE(house.refusal.more().retry_after, 3);
}

TEST(Shed, APlaceIsFreeWhenTheLastByteIsSent) {
  House house;
  while (house.begin("critical")) {}
  EXPECT_EQ(house.under_way.size(), 20u);
  house.under_way.pop_back();
  EXPECT_TRUE(house.begin("critical"));
  house.under_way.clear();
  for (int i = 0; i < 15; ++i) EXPECT_TRUE(house.begin("sheddable"));
}

TEST(Shed, ThreadsNeverPassTheBoundTogether) {
  ShedGate gate(8);
  std::atomic<int> inside{0}, most{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        int held = 0;
        while (held < 4 && gate.enter(Priority::critical)) ++held;
        const int now = inside += held;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {}
        inside -= held;
        for (; held > 0; --held) gate.leave();
      }
    });
  threads.clear();
  EXPECT_LE(most, 8);
  EXPECT_EQ(gate.under_way(), 0);
}

TEST(Shed, AnUnknownPriorityIsRefusedAtTheStartAndOffTakesNoPart) {
  House house;
  EXPECT_FALSE(house.build(shed, "wrong"));
  EXPECT_EQ(house.build(shed, "off").value(), nullptr);
}

}  // namespace
}  // namespace plimsoll::policy
