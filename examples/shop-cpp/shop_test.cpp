// The whole chain, from the request to the database and back, in this process: no socket is opened.
#include "operations.hpp"
#include "pricing.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <plimsoll/database/migrations.hpp>
#include <plimsoll/database/sqlite.hpp>
#include <plimsoll/policy/authentication/development_key.hpp>
#include <plimsoll/testkit/client.hpp>

namespace {

TEST(Pricing, ReadsAndWritesAmountsExactly) {
  EXPECT_EQ(shop::cents("12.5"), 1250);
  EXPECT_EQ(shop::cents("0.07"), 7);
  EXPECT_EQ(shop::amount(1250), "12.50");
  EXPECT_EQ(shop::amount(7), "0.07");
  for (const auto* wrong : {"", ".5", "1.", "1.234", "-1", "1e3", "one"}) EXPECT_FALSE(shop::cents(wrong)) << wrong;
}

class Shop : public testing::Test {
 protected:
  void SetUp() override {
    auto pattern = (std::filesystem::temp_directory_path() / "shop-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    const auto path = (folder / "shop.db").string();
    {
      auto database = plimsoll::database::open_sqlite({.path = path});
      ASSERT_TRUE(database);
      auto files = plimsoll::database::read_migrations(SHOP_CONTRACT "/migrations");
      ASSERT_TRUE(files);
      ASSERT_TRUE(plimsoll::database::apply_migrations(**database, *files, 0));
    }

    // The deployment of the shop, with a database of this test.
    std::ifstream deployment(SHOP_CONTRACT "/plimsoll.yaml");
    std::string text{std::istreambuf_iterator<char>(deployment), {}};
    text.replace(text.find("shop.db"), 7, path);
    plimsoll::server::Settings settings;
    settings.quiet = true;
    settings.development = true;
    settings.config = folder / "plimsoll.yaml";
    std::ofstream(settings.config) << text;

    plimsoll::Application application{shop::contract()};
    shop::bind(application);
    auto made = application.instance(settings);
    ASSERT_TRUE(made) << plimsoll::contract::to_string(made.error().front());
    instance = std::move(*made);
    client = std::make_unique<plimsoll::testkit::Client>(*instance);
    const auto made_up = plimsoll::policy::development_credentials(instance->contract(), instance->services());
    ASSERT_EQ(made_up.size(), 1u);
    token = made_up[0].header.substr(made_up[0].header.find(' ') + 1);  // behind `Authorization: `
  }
  void TearDown() override {
    client.reset();
    instance.reset();
    std::filesystem::remove_all(folder);
  }

  plimsoll::testkit::HeaderList developer() const { return {{"authorization", token}}; }

  std::filesystem::path folder;
  std::string token;
  std::unique_ptr<plimsoll::server::Instance> instance;
  std::unique_ptr<plimsoll::testkit::Client> client;
};

constexpr auto kOpenOrder = "/v1/orders/0192f0c1-0003-7000-8000-000000001388";  // the 5,000th
constexpr auto kPaidOrder = "/v1/orders/0192f0c1-0003-7000-8000-000000000005";

TEST_F(Shop, QuotesTheSumOfWhatIsInTheCart) {
  const auto answer = client->post("/v1/quotes", R"({"items":[
    {"product_id":"0192f0c1-0001-7000-8000-000000000001","quantity":2},
    {"product_id":"0192f0c1-0001-7000-8000-000000000002","quantity":1}]})");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body, R"({"total":"336.24"})");
}

TEST_F(Shop, QuotesNothingThatIsNotSoldAnyMore) {
  const auto answer =
      client->post("/v1/quotes", R"({"items":[{"product_id":"0192f0c1-0001-7000-8000-000000000011","quantity":1}]})");
  EXPECT_EQ(answer.status, 409) << answer.body;
  EXPECT_EQ(answer.problem, "conflict");
}

TEST_F(Shop, ACartThatBreaksTheContractNeverReachesTheHandler) {
  EXPECT_EQ(client->post("/v1/quotes", R"({"items":[{"product_id":"kettle","quantity":0}]})").status, 400);
}

TEST_F(Shop, CheckingOutPaysAndMarksTheOrderOnce) {
  const auto path = std::string(kOpenOrder) + "/checkout";
  const auto paid = client->post(path, R"({"method":"card"})", developer());
  ASSERT_EQ(paid.status, 201) << paid.body;
  EXPECT_NE(paid.body.find(R"("status":"settled")"), std::string::npos);
  EXPECT_NE(client->get(kOpenOrder, developer()).body.find(R"("status":"paid")"), std::string::npos);
  EXPECT_EQ(client->post(path, R"({"method":"card"})", developer()).problem, "conflict");
  const auto payments =
      client->get("/v1/payments?order_id=0192f0c1-0003-7000-8000-000000001388&count=exact", developer());
  EXPECT_NE(payments.body.find(R"("total":1)"), std::string::npos) << payments.body;
}

TEST_F(Shop, AStrangerPaysForNothing) {
  EXPECT_EQ(client->post(std::string(kOpenOrder) + "/checkout", R"({"method":"card"})").status, 401);
}

TEST_F(Shop, APaidOrderCannotBeCheckedOut) {
  EXPECT_EQ(client->post(std::string(kPaidOrder) + "/checkout", R"({"method":"card"})", developer()).status, 409);
  EXPECT_EQ(
      client->post("/v1/orders/0192f0c1-0003-7000-8000-00000000ffff/checkout", R"({"method":"card"})", developer())
          .status,
      404);
}

TEST_F(Shop, ExportsEveryOrderAsALine) {
  const auto answer = client->get("/v1/exports/orders", developer());
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(std::ranges::count(answer.body, '\n'), 5000);
}

TEST_F(Shop, AProductThatIsNotThereHasNoPhoto) {
  auto headers = developer();
  headers.emplace_back("content-type", "image/jpeg");
  const auto path = "/v1/products/0192f0c1-0001-7000-8000-00000000ffff/photo";
  EXPECT_EQ(client->request("PUT", path, headers, "a photo").status, 404);
}

}  // namespace
