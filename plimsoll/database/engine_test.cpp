#include "plimsoll/database/engine.hpp"

#include "plimsoll/database/dialect.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>

namespace plimsoll::database {
namespace {

TEST(Engines, AreFoundByTheSchemeOfAUrl) {
  for (const auto* engine : engines()) {
    for (const auto scheme : engine->schemes) EXPECT_EQ(engine_of(std::string(scheme) + "x"), engine);
    EXPECT_TRUE(engine->form.starts_with(engine->schemes.front())) << engine->form;
    EXPECT_TRUE(engine->open && engine->scratch) << engine->name;
    EXPECT_EQ(engine->catalogue != nullptr, engine->schema_of != nullptr) << engine->name;
    EXPECT_EQ(engine->back_up != nullptr, engine->verify != nullptr) << engine->name;
    EXPECT_EQ(engine->options != nullptr, engine->defaults != nullptr) << engine->name;
  }
  for (const auto* none : {"", "sqlite", "mysql://a/b", "postgres:a", "Sqlite:a", "shop.db"})
    EXPECT_EQ(engine_of(none), nullptr) << none;
  EXPECT_TRUE(engine_of(default_url("shop"))->file);
}

TEST(Engines, ShowAFileByItsPathAndAServerWithoutItsPassword) {
  EXPECT_EQ(shown("sqlite:a/b.db"), "a/b.db");
  EXPECT_EQ(shown("postgres://a:b@c/d"), "postgres://a:***@c/d");
  EXPECT_EQ(shown("mysql://a:b@c/d"), "mysql://a:***@c/d");
  EXPECT_EQ(file_of("postgres://a:b@c/d"), "");
  EXPECT_EQ(file_of("sqlite:a/b.db"), "a/b.db");
  EXPECT_EQ(listed_schemes("`", "and"), "`sqlite:` and `postgres:`");
  EXPECT_EQ(listed_forms({}, "or"), "sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE");
  EXPECT_EQ(listed_forms({}, "or", [](const Engine& engine) { return engine.file; }), "sqlite:PATH");
}

TEST(Engines, RefuseAnotherOfTheSameNameSchemeOrOption) {
  constexpr auto refused = [](const Engine& engine) {
    auto added = add_engine(engine);
    return added ? std::string{} : added.error().detail;
  };
  static constexpr std::string_view own[] = {"own:"}, wider[] = {"own:", "postgres:"}, narrower[] = {"sqlite:/"};
  EXPECT_EQ(refused(Engine{.name = "SQLite", .schemes = own, .form = "own:"}),
            "the program brings a database engine `SQLite`, and there is one with the name `SQLite`");
  EXPECT_TRUE(refused(Engine{.name = "Own", .schemes = wider, .form = "own:"}).ends_with("scheme `postgres://`"));
  EXPECT_TRUE(refused(Engine{.name = "Own", .schemes = narrower, .form = "own:"}).ends_with("scheme `sqlite:`"));
  struct Options {
    std::int64_t readers = 1;
  };
  static constexpr config::Field fields[] = {config::field<&Options::readers>("readers", "How many.", {1, 2})};
  EXPECT_TRUE(refused(Engine{.name = "Own",
                             .schemes = own,
                             .form = "own:",
                             .options = [] { return std::span<const config::Field>(fields); },
                             .defaults = config::defaults_of<Options>})
                  .ends_with("option `readers`"));
  const auto before = engines().size();
  EXPECT_EQ(refused(*engines().front()), "");
  EXPECT_EQ(engines().size(), before);
}

TEST(Engines, CheckTheirOptionsBeforeAnythingIsOpened) {
  Arena arena;
  const auto wrong = [&](std::string url, std::string_view options) {
    auto parsed = json::parse(options, arena);
    const auto errors = engine_of(url)->check({.url = url, .options = &*parsed});
    return errors.empty() ? std::string{} : errors.front().detail;
  };
  EXPECT_EQ(wrong("sqlite:a.db", R"({"url":"sqlite:a.db","readers":3,"unknown":1})"), "");
  EXPECT_TRUE(wrong("sqlite:a.db", R"({"readers":0})").contains("readers"));
  EXPECT_TRUE(wrong("postgres:///a", R"({"pool":{"max":0}})").contains("max"));
  EXPECT_TRUE(wrong("postgres:///a?sslmode=often", "{}").contains("sslmode"));
  EXPECT_TRUE(wrong("postgres:///a", R"({"replicas":["postgres://a,b/c"]})").contains("several"));
}

TEST(Engines, ATrialSeesTheTablesAndLeavesNothing) {
  TestFolder folder;
  const Place place{.url = default_url(folder / "shop")};
  auto tried = engine_of(place.url)->open(place, {.purpose = Opening::Purpose::trial});
  ASSERT_TRUE(tried) << reason_of(tried.error());
  EXPECT_NE(tried->file, file_of(place.url));
  const auto copy = tried->file;
  EXPECT_TRUE(std::filesystem::exists(copy));
  tried->database.reset();
  tried->rests_on.reset();
  EXPECT_FALSE(std::filesystem::exists(copy));
  EXPECT_FALSE(std::filesystem::exists(file_of(place.url)));
  auto nowhere = engine_of(place.url)->open({.url = default_url(folder / "no" + "where/shop")},
                                            {.purpose = Opening::Purpose::trial});
  ASSERT_FALSE(nowhere);
  EXPECT_TRUE(nowhere.error().retryable) << "its volume may be mounted later";
  EXPECT_TRUE(reason_of(nowhere.error()).contains("there is no folder"));
  EXPECT_TRUE(remedy_of(nowhere.error()).starts_with("Make the folder"));
}

/// A URL decides once, in engine.cpp; what one engine alone can do is asked of its row. So a new engine is a folder and
/// a row.
TEST(Engines, NoSourceOutsideOfThisRoomKnowsOneByName) {
  const std::regex words(
      R"re(#include "plimsoll/database/(sqlite|postgres|scratch_schema)|"(sqlite|postgres|postgresql):(//)?"|is_\w+_url\b)re"
      R"re(|\bopen_(sqlite|postgres)\b|\b(Sqlite|Postgres)[A-Z]\w*|\b(sqlite|postgres)_engine\b)re"
      R"re(|dialect\(\)\.name\(\)|\bengine[a-z]*(->|\.)name *[!=]=)re");
  const std::filesystem::path root = PLIMSOLL_SOURCE_DIR;
  int sources = 0;
  for (const auto* folder : {"plimsoll", "apps"})
    for (auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const auto path = entry.path().string(), name = entry.path().filename().string();
      if (!name.ends_with(".cpp") && !name.ends_with(".hpp")) continue;
      if (path.contains("/plimsoll/database/") || name.contains("_test.") || name.contains("_bench.") ||
          name.contains("_fuzz.") || name.contains("conformance"))
        continue;
      ++sources;
      std::ifstream in(entry.path());
      int number = 0;
      for (std::string line; std::getline(in, line);) {
        ++number;
        EXPECT_FALSE(std::regex_search(line, words)) << path << ":" << number << ": " << line;
      }
    }
  EXPECT_GT(sources, 300);
}

}  // namespace
}  // namespace plimsoll::database
