#include "plimsoll/policy/field_selection.hpp"

#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>

namespace plimsoll::policy {
namespace {

std::string selected(std::string_view text, std::string_view fields) {
  Arena arena;
  const auto value = json::parse(text, arena);
  const auto selection = parse_fields(fields);
  if (!value || !selection) return "unreadable";
  std::string out;
  json::Writer writer{out};
  write_selected(writer, *value, *selection);
  return out;
}

TEST(FieldSelection, KeepsWhatIsNamedAndNothingElse) {
  EXPECT_EQ(selected(R"({"id":1,"name":"a","items":[{"sku":"x","price":2}]})", "id,items(sku)"),
            R"({"id":1,"items":[{"sku":"x"}]})");
  EXPECT_EQ(selected(R"({"id":1,"items":[{"sku":"x","price":2}]})", "items"), R"({"items":[{"sku":"x","price":2}]})");
}

TEST(FieldSelection, OfAPageSelectsInItsItems) {
  EXPECT_EQ(selected(R"({"data":[{"id":1,"a":2}],"next_cursor":null})", "id"),
            R"({"data":[{"id":1}],"next_cursor":null})");
}

TEST(FieldSelection, RefusesWhatIsMalformedOrUnbounded) {
  for (const auto* text : {"", ",", "a,", "a(", "a()", "a)", "(a)", "a(b", "a,,b"})
    EXPECT_FALSE(parse_fields(text)) << text;
  std::string deep;
  for (int i = 0; i < 9; ++i) deep += "a(";
  EXPECT_FALSE(parse_fields(deep + "a" + std::string(9, ')')));
  std::string many = "a";
  for (int i = 0; i < 300; ++i) many += ",a";
  EXPECT_FALSE(parse_fields(many));
}

}  // namespace
}  // namespace plimsoll::policy
