#include "plimsoll/database/versions.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

TEST(TableVersions, WhatWasReadBeforeAWriteIsOldAndWhatWasReadAfterItIsNot) {
  TableVersions versions;
  const auto& orders = versions.of("orders");
  const auto before = versions.now();
  EXPECT_FALSE(orders.written_since(before));
  versions.wrote("orders");
  EXPECT_TRUE(orders.written_since(before));
  EXPECT_FALSE(orders.written_since(versions.now()));
}

TEST(TableVersions, AWriteElsewhereLeavesATableCurrent) {
  TableVersions versions;
  versions.of("orders"), versions.of("customers");
  const auto before = versions.now();
  versions.wrote("customers");
  EXPECT_FALSE(versions.of("orders").written_since(before));
  EXPECT_TRUE(versions.of("customers").written_since(before));
}

TEST(TableVersions, AWriteBeforeAnybodyAskedForTheTableIsNotForgotten) {
  TableVersions versions;
  const auto before = versions.now();
  versions.wrote("orders");
  EXPECT_TRUE(versions.of("orders").written_since(before));
}

}  // namespace
}  // namespace plimsoll::database
