// The whole chain, from the request to the database and back, in this process: no socket is opened.
#include "operations.hpp"
#include "pricing.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <plimsoll/testkit/service.hpp>

namespace {

namespace testkit = plimsoll::testkit;

TEST(Pricing, ReadsAndWritesAmountsExactly) {
  EXPECT_EQ(shop::cents("12.5"), 1250);
  EXPECT_EQ(shop::cents("0.07"), 7);
  EXPECT_EQ(shop::amount(1250), "12.50");
  EXPECT_EQ(shop::amount(7), "0.07");
  for (const auto* wrong : {"", ".5", "1.", "1.234", "-1", "1e3", "one"}) EXPECT_FALSE(shop::cents(wrong)) << wrong;
}

class Shop : public testing::Test {
 protected:
  testkit::Service service{{.contract = shop::contract(),
                            .deployment = SHOP_CONTRACT "/plimsoll.yaml",
                            .migrations = SHOP_CONTRACT "/migrations",
                            .program = shop::bind}};
  testkit::Caller anyone = service.anonymous(), admin = service.as("grace", {.roles = {"admin"}});
};

constexpr auto kOpenOrder = "/v1/orders/0192f0c1-0003-7000-8000-000000001388";  // the 5,000th
constexpr auto kPaidOrder = "/v1/orders/0192f0c1-0003-7000-8000-000000000005";

TEST_F(Shop, QuotesTheSumOfWhatIsInTheCart) {
  const auto answer = anyone.post("/v1/quotes", R"({"items":[
    {"product_id":"0192f0c1-0001-7000-8000-000000000001","quantity":2},
    {"product_id":"0192f0c1-0001-7000-8000-000000000002","quantity":1}]})");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body, R"({"total":"336.24"})");
}

TEST_F(Shop, QuotesNothingThatIsNotSoldAnyMore) {
  const auto answer =
      anyone.post("/v1/quotes", R"({"items":[{"product_id":"0192f0c1-0001-7000-8000-000000000011","quantity":1}]})");
  EXPECT_EQ(answer.status, 409) << answer.body;
  EXPECT_EQ(answer.problem, "conflict");
}

TEST_F(Shop, ACartThatBreaksTheContractNeverReachesTheHandler) {
  EXPECT_EQ(anyone.post("/v1/quotes", R"({"items":[{"product_id":"kettle","quantity":0}]})").status, 400);
}

TEST_F(Shop, CheckingOutPaysAndMarksTheOrderOnce) {
  const auto path = std::string(kOpenOrder) + "/checkout";
  const auto paid = admin.post(path, R"({"method":"card"})");
  ASSERT_EQ(paid.status, 201) << paid.body;
  EXPECT_NE(paid.body.find(R"("status":"settled")"), std::string::npos);
  EXPECT_NE(admin.get(kOpenOrder).body.find(R"("status":"paid")"), std::string::npos);
  EXPECT_EQ(admin.post(path, R"({"method":"card"})").problem, "conflict");
  const auto payments = admin.get("/v1/payments?order_id=0192f0c1-0003-7000-8000-000000001388&count=exact");
  EXPECT_NE(payments.body.find(R"("total":1)"), std::string::npos) << payments.body;
}

TEST_F(Shop, AStrangerPaysForNothing) {
  EXPECT_EQ(anyone.post(std::string(kOpenOrder) + "/checkout", R"({"method":"card"})").status, 401);
}

TEST_F(Shop, APaidOrderCannotBeCheckedOut) {
  EXPECT_EQ(admin.post(std::string(kPaidOrder) + "/checkout", R"({"method":"card"})").status, 409);
  EXPECT_EQ(admin.post("/v1/orders/0192f0c1-0003-7000-8000-00000000ffff/checkout", R"({"method":"card"})").status, 404);
}

TEST_F(Shop, ExportsEveryOrderAsALine) {
  const auto answer = admin.get("/v1/exports/orders");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(std::ranges::count(answer.body, '\n'), 5000);
}

TEST_F(Shop, AnOrderOfAnotherCustomerIsNotThere) {
  const auto path = std::string(kOpenOrder) + "/checkout";
  const auto owner =
      service.sql<std::string>("SELECT customer_id FROM orders WHERE id = ?", "0192f0c1-0003-7000-8000-000000001388");
  ASSERT_EQ(owner.size(), 1u);
  auto another = service.as("0192f0c1-0002-7000-8000-00000000ffff", {.roles = {"customer"}});
  EXPECT_EQ(another.post(path, R"({"method":"card"})").problem, "not-found");
  EXPECT_EQ(service.as(owner[0], {.roles = {"customer"}}).post(path, R"({"method":"card"})").status, 201);
}

TEST_F(Shop, AProductThatIsNotThereHasNoPhoto) {
  const auto path = "/v1/products/0192f0c1-0001-7000-8000-00000000ffff/photo";
  EXPECT_EQ(admin.put(path, "a photo", {{"content-type", "image/jpeg"}}).status, 404);
}

}  // namespace
