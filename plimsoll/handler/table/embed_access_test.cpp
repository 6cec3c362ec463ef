#include "plimsoll/handler/table/embed_access.hpp"

#include "plimsoll/json/yaml.hpp"

#include <gtest/gtest.h>

namespace plimsoll::table {
namespace {

/// A contract in which `orders` embeds `payments`, which the given operations read.
std::string contract(const std::string& operations, const std::string& around = "security: [{bearer: []}]") {
  return around + R"(
x-plimsoll:
  tables:
    orders: {schema: {properties: {id: {type: integer}, payment_id: {type: integer}}}, embeds: {one: {table: payments, on: payment_id}, many: {table: payments, by: order_id}}}
    payments: {schema: {properties: {id: {type: integer}, order_id: {type: integer}}}}
paths:
  /orders: {get: {x-plimsoll: {table: orders}}}
)" + operations;
}

struct Case {
  std::string operations, one, many;
  std::string around = "security: [{bearer: []}]";
};

class EmbedAccessTest : public testing::Test {
 protected:
  void read(const std::string& text) {
    auto parsed = json::parse_yaml(arena.keep(text), arena);
    ASSERT_TRUE(parsed) << text;
    root = *parsed;
    std::vector<Wrong> wrong;
    model = read_model(root, wrong);
    ASSERT_TRUE(wrong.empty()) << wrong[0].what;
    access = std::make_unique<EmbedAccess>(root, model);
  }
  const Embed& embed(std::size_t i) { return model.find("orders")->embeds[i]; }
  /// Whether the caller may see the embed of many rows, two levels deep or at the top.
  bool sees(const Principal* caller, const std::vector<std::string>& assured = {}) {
    Selection selection;
    selection.embeds.push_back({&embed(1), model.find("payments"), {}});
    return access->check(selection, caller, assured).has_value();
  }

  Arena arena;
  json::Value root;
  Model model;
  std::unique_ptr<EmbedAccess> access;
};

TEST_F(EmbedAccessTest, NeedsWhatReadingTheTableDirectlyNeeds) {
  const std::string list = "  /payments: {get: {x-plimsoll: {table: payments";
  const std::string row =
      "  /payments/{id}: {get: {security: [{bearer: [one:read]}], x-plimsoll: {table: payments}}}\n";
  const Case cases[] = {
      {"", "", ""},
      {list + "}}}\n", "a caller known by `bearer`", "a caller known by `bearer`"},
      {list + "}, security: []}}\n", "", ""},
      {list + "}, security: [{}, {bearer: [a]}]}}\n", "", ""},
      {list + "}, security: [{bearer: [a, b]}]}}\n", "the scopes `a` and `b`", "the scopes `a` and `b`"},
      {list + "}, security: [{bearer: [a]}, {key: [b]}]}}\n", "the scope `a`, or the scope `b`",
       "the scope `a`, or the scope `b`"},
      {list + ", authorization: {roles: [boss, clerk], scopes: [c]}}, security: [{bearer: [a]}]}}\n",
       "the scopes `a` and `c` and one of the roles `boss`, `clerk`",
       "the scopes `a` and `c` and one of the roles `boss`, `clerk`"},
      {list + ", authorization: any-caller}, security: [{bearer: [a]}]}}\n", "the scope `a`", "the scope `a`"},
      {list + ", authorization: {mode: shadow}}, security: [{bearer: [a]}]}}\n", "a caller known by `bearer`",
       "a caller known by `bearer`"},
      {list + ", authentication: off}, security: [{bearer: [a]}]}}\n", "", ""},
      {row, "the scope `one:read`", "the scope `one:read`"},
      {"  /payments: {query: {security: [{bearer: [q]}], x-plimsoll: {table: {name: payments, action: list}}}}\n",
       "the scope `q`", "the scope `q`"},
      {"  /payments: {additionalOperations: {SEARCH: {security: [{bearer: [s]}], x-plimsoll: {table: {name: payments, "
       "action: list}}}}}\n",
       "the scope `s`", "the scope `s`"},
      {row + list + "}, security: [{bearer: [all:read]}]}}\n", "the scope `one:read`, or the scope `all:read`",
       "the scope `all:read`"},
      {list + "}}}\n", "the scope `doc`", "the scope `doc`", "security: [{bearer: [doc]}]"},
      {list + "}}}\n", "", "", "info: {}"},
  };
  for (auto& [operations, one, many, around] : cases) {
    ASSERT_NO_FATAL_FAILURE(read(contract(operations, around)));
    EXPECT_EQ(access->words(embed(0)), one) << operations;
    EXPECT_EQ(access->words(embed(1)), many) << operations;
    EXPECT_EQ(access->words(embed(1), true), many.starts_with("a caller") ? "" : many) << operations;
  }
}

TEST_F(EmbedAccessTest, AdmitsWhoHasTheScopesAndRolesByASchemeThatCounts) {
  ASSERT_NO_FATAL_FAILURE(
      read(contract("  /payments: {get: {x-plimsoll: {table: payments, authorization: {roles: [boss]}}, security: "
                    "[{bearer: [a]}]}}\n")));
  const std::string_view a[] = {"a"}, all[] = {"*"}, boss[] = {"boss"}, clerk[] = {"clerk"};
  const auto caller = [](std::string_view scheme, std::span<const std::string_view> scopes,
                         std::span<const std::string_view> roles) {
    return Principal{.subject = "ada", .scheme = scheme, .scopes = scopes, .roles = roles};
  };
  EXPECT_FALSE(sees(nullptr));
  for (auto& [who, admitted] : {std::pair{caller("bearer", a, boss), true},
                                {caller("bearer", all, boss), true},
                                {caller("bearer", a, clerk), false},
                                {caller("bearer", a, {}), false},
                                {caller("bearer", {}, boss), false},
                                {caller("key", a, boss), false}})
    EXPECT_EQ(sees(&who), admitted) << who.scheme;
  const auto other = caller("key", a, boss);
  EXPECT_TRUE(sees(&other, {"bearer"}));  // the operation knows every caller by both
  const auto refused = access->check({.columns = {}, .embeds = {{&embed(1), model.find("payments"), {}}}}, nullptr, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(
      refused.error().detail,
      "The embed \"many\" shows rows of table \"payments\", and reading that needs the scope a and the role boss.");
}

}  // namespace
}  // namespace plimsoll::table
