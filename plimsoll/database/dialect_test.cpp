#include "plimsoll/database/dialect.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>

namespace plimsoll::database {
namespace {

/// SQL that one engine understands and another does not stands in its dialect.
TEST(Dialects, NoOtherSourceOfTablesKnowsTheWordsOfOneEngine) {
  const std::regex words(
      R"(\biif\(|json_(object|valid|quote|agg|build_object)\b|printf\('|IS NOT \?|IS DISTINCT FROM|\browid\b|\bMATCH\b)"
      R"(|\bILIKE\b|to_tsvector|sqlite_schema|pg_(class|catalog|attribute)|pragma_|\bSTRICT\b|\bCOLLATE\b|string_agg)"
      R"(|plimsoll_(place|placed|decimal|instant|rows?)\b)");
  const std::filesystem::path root = PLIMSOLL_SOURCE_DIR;
  int sources = 0;
  for (const auto* folder : {"plimsoll/handler/table", "plimsoll/exchange", "plimsoll/server"})
    for (auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const auto name = entry.path().filename().string();
      const bool source = name.ends_with(".cpp") || name.ends_with(".hpp");
      // Tests, and the attacks they send.
      if (!source || name.contains("_test.") || name.contains("_bench.") || name == "attacks.hpp") continue;
      ++sources;
      std::ifstream in(entry.path());
      int number = 0;
      for (std::string line; std::getline(in, line);) {
        ++number;
        EXPECT_FALSE(std::regex_search(line, words)) << entry.path() << ":" << number << ": " << line;
      }
    }
  EXPECT_GT(sources, 40);
}

}  // namespace
}  // namespace plimsoll::database
