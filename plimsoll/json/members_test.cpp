#include "plimsoll/json/members.hpp"

#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>

namespace plimsoll::json {
namespace {

struct Item {
  std::string product_id;
  std::int32_t quantity = 0;
};
struct Order {
  std::string_view customer;
  std::vector<Item> items;
  std::optional<double> discount;
  bool gift = false;
  std::optional<Item> extra;
};
struct Renamed {
  static constexpr std::string_view names[] = {"order-id", "$kind"};
  std::int64_t id = 0;
  std::string kind;
};
struct One {
  std::vector<std::vector<std::int8_t>> table;
};

template <class T>
std::string read_and_written(std::string_view text) {
  Arena arena;
  const auto value = parse(text, arena);
  if (!value) return "malformed";
  T made{};
  Misfit misfit;
  if (!read(*value, made, misfit)) return misfit.pointer + ": " + misfit.message;
  return to_string(made);
}

TEST(Members, NamesAndTypesAreThoseOfTheStruct) {
  const auto& order = shape<Order>;
  ASSERT_EQ(order.count, 5u);
  const std::string_view names[] = {"customer", "items", "discount", "gift", "extra"};
  for (std::size_t i = 0; i < order.count; ++i) EXPECT_EQ(order.members[i].name, names[i]);
  EXPECT_EQ(order.members[1].shape->items->members[1].name, "quantity");
  EXPECT_EQ(order.members[1].shape->items->members[1].shape->most, 2147483647);
  EXPECT_TRUE(order.members[2].shape->optional);
  EXPECT_EQ(order.members[2].shape->kind, Shape::Kind::number);
  EXPECT_EQ(order.members[3].shape->kind, Shape::Kind::boolean);
  EXPECT_EQ(order.members[4].shape->kind, Shape::Kind::object);
}

TEST(Members, WhatIsReadIsWrittenAgain) {
  const auto text = R"({"customer":"Ada \"A\"","items":[{"product_id":"kettle","quantity":2}],"gift":true})";
  EXPECT_EQ(read_and_written<Order>(text), text);
  const auto full =
      R"({"customer":"","items":[],"discount":0.5,"gift":false,"extra":{"product_id":"x","quantity":-1}})";
  EXPECT_EQ(read_and_written<Order>(full), full);
  EXPECT_EQ(read_and_written<Renamed>(R"({"$kind":"a","order-id":7,"more":[]})"), R"({"order-id":7,"$kind":"a"})");
  EXPECT_EQ(read_and_written<One>(R"({"table":[[1,-128],[]]})"), R"({"table":[[1,-128],[]]})");
  EXPECT_EQ(read_and_written<std::vector<std::optional<std::string>>>(R"(["a",null])"), R"(["a",null])");
}

TEST(Members, WhatDoesNotFitIsNamed) {
  EXPECT_EQ(read_and_written<Order>(R"({"items":[],"gift":true})"), "/customer: is required");
  EXPECT_EQ(read_and_written<Order>(R"({"customer":"a","items":[{"product_id":"x","quantity":1},{"product_id":7}]})"),
            "/items/1/product_id: must be a string");
  EXPECT_EQ(read_and_written<Order>(R"({"customer":"a","items":[{"product_id":"x","quantity":2147483648}]})"),
            "/items/0/quantity: is out of range");
  EXPECT_EQ(read_and_written<Order>(R"({"customer":"a","items":[{"product_id":"x","quantity":1.5}]})"),
            "/items/0/quantity: must be an integer");
  EXPECT_EQ(read_and_written<One>(R"({"table":[[1],[128]]})"), "/table/1/0: is out of range");
  EXPECT_EQ(read_and_written<Order>("[]"), ": must be an object");
  EXPECT_EQ(read_and_written<Order>(R"({"customer":null,"items":[]})"), "/customer: must be a string");
}

}  // namespace
}  // namespace plimsoll::json
