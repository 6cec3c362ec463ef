#include "plimsoll/handler/table/entity_tag.hpp"

#include "plimsoll/http/conditional.hpp"

#include <gtest/gtest.h>
#include <set>
#include <string>

namespace plimsoll::table {
namespace {

TEST(EntityTags, NameARepresentationAndNothingElse) {
  const EntityTags tags{"secret"};
  std::set<std::string> all;
  for (int i = 0; i < 10'000; ++i) {
    const std::string row = "{\"id\":" + std::to_string(i) + "}";
    const auto tag = tags.of(row);
    EXPECT_TRUE(http::parse_entity_tag(tag)) << std::string_view(tag);
    EXPECT_EQ(std::string_view(tag), std::string_view(tags.of(row)));
    EXPECT_TRUE(all.insert(std::string(std::string_view(tag))).second) << row;
  }
}

TEST(EntityTags, DifferWithWhatIsNotShown) {
  const EntityTags tags{"secret"};
  std::set<std::string> all;
  for (std::string_view tenant : {"", "acme", "globex"})
    for (std::string_view unseen : {"", "{\"pin\":\"1\"}", "{\"pin\":\"2\"}", "acme"})
      EXPECT_TRUE(all.insert(std::string(std::string_view(tags.of("row", tenant, unseen)))).second)
          << tenant << " " << unseen;
}

TEST(EntityTags, AreTheSameForAllWhoKnowTheSecret) {
  EXPECT_EQ(std::string_view(EntityTags{"secret"}.of("row")), std::string_view(EntityTags{"secret"}.of("row")));
  EXPECT_NE(std::string_view(EntityTags{"secret"}.of("row")), std::string_view(EntityTags{"other"}.of("row")));
}

}  // namespace
}  // namespace plimsoll::table
