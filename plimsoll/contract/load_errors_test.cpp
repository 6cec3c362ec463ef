#include "plimsoll/contract/load_errors.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

namespace plimsoll::contract {
namespace {

const std::string kFolder = PLIMSOLL_SOURCE_DIR "/tests/fixtures/load/";

constexpr config::Key kIdempotency{
    .name = "idempotency", .sentence = "Makes repeats harmless.", .methods = config::Methods::unsafe};
constexpr config::Key kTables{.name = "tables", .sentence = "Tables.", .scopes = config::Scopes::document};
constexpr config::Key kTable{.name = "table", .sentence = "A table.", .scopes = config::Scopes::operation};

/// All that is said about a fixture, with paths as if it had been loaded from its own folder. Its name, up to `--`, is
/// the code that must be among it.
Complaints complaints_of(const std::string& fixture) {
  static constexpr const config::Key* keys[] = {&kIdempotency, &kTables, &kTable};
  static constexpr std::string_view later[] = {"teleport"};
  LoadOptions options{.file = kFolder + fixture, .keys = keys, .later_words = later};
  std::ifstream in(options.file);
  constexpr std::string_view mark = "# overlay: ";
  if (std::string first; std::getline(in, first) && first.starts_with(mark))
    options.overlays.push_back(kFolder + first.substr(mark.size()));
  auto loaded = load(options);
  auto complaints = loaded ? (*loaded)->warnings : std::move(loaded.error());
  for (auto& complaint : complaints)
    for (auto* text : {&complaint.file, &complaint.what})
      for (auto at = text->find(kFolder); at != text->npos; at = text->find(kFolder)) text->erase(at, kFolder.size());
  return complaints;
}

std::map<std::string, std::string> expected() {
  std::map<std::string, std::string> sections;
  std::ifstream in(kFolder + "expected.txt");
  std::string name;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("== "))
      name = line.substr(3);
    else if (!name.empty())
      sections[name] += line + "\n";
  }
  return sections;
}

std::string code_of(const std::string& fixture) {
  const auto stem = fixture.substr(0, fixture.rfind('.'));
  return stem.substr(0, stem.find("--"));
}

/// What is said to a user, word for word: file, line, column, pointer and remedy. After a deliberate change,
/// PLIMSOLL_UPDATE_FIXTURES=1 writes the file anew, to be read before it is committed.
TEST(LoadErrors, EachFixtureGivesItsComplaintWithPlaceAndRemedy) {
  const auto wanted = expected();
  std::string all;
  std::set<std::string> fixtures;
  for (auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.is_regular_file() && entry.path().extension() != ".txt") fixtures.insert(entry.path().filename());
  for (auto& fixture : fixtures) {
    const auto complaints = complaints_of(fixture);
    std::string said;
    bool meant = false;
    for (auto& complaint : complaints) {
      said += to_string(complaint) + "\n";
      meant |= complaint.code == code_of(fixture);
      EXPECT_FALSE(complaint.remedy.empty()) << fixture;
      EXPECT_TRUE(complaint.at.line > 0 || complaint.code == "file-unreadable") << fixture << ": " << said;
    }
    all += "== " + fixture + "\n" + said;
    EXPECT_TRUE(meant) << fixture << " does not give what its name says:\n" << said;
    const auto found = wanted.find(fixture);
    EXPECT_EQ(said, found == wanted.end() ? "" : found->second) << fixture;
  }
  if (std::getenv("PLIMSOLL_UPDATE_FIXTURES")) std::ofstream(kFolder + "expected.txt") << all;
  for (auto& [name, text] : wanted) EXPECT_TRUE(fixtures.contains(name)) << name << " is expected but not there";
}

TEST(LoadErrors, EachEntryOfTheTableHasAFixture) {
  std::set<std::string> codes;
  for (auto& entry : std::filesystem::directory_iterator(kFolder))
    if (entry.is_regular_file()) codes.insert(code_of(entry.path().filename()));
  for (const auto* error : load_error::kAll) EXPECT_TRUE(codes.contains(std::string(error->code))) << error->code;
}

TEST(LoadErrors, EachSaysWhatAndWhatToDo) {
  std::set<std::string_view> codes;
  for (const auto* error : load_error::kAll) {
    EXPECT_TRUE(codes.insert(error->code).second) << error->code;
    EXPECT_FALSE(error->what.empty());
    EXPECT_FALSE(error->remedy.empty());
  }
}

TEST(LoadErrors, AReferenceNeverWaitsForADevice) {
  const auto file = testing::TempDir() + "device-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream(file) << "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths: {/a: {$ref: /dev/zero}}\n";
  const auto loaded = load({.file = file});
  std::filesystem::remove(file);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error()[0].code, "file-unreadable");
}

TEST(LoadErrors, MoreThanAThousandFilesAreTooMany) {
  const auto folder = std::filesystem::path(testing::TempDir()) / ("files-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  std::string paths;
  for (int i = 0; i < 1001; ++i) {
    const auto name = std::to_string(i) + ".yaml";
    std::ofstream(folder / name) << "get: {responses: {'200': {description: ok}}}\n";
    paths += "  /" + std::to_string(i) + ": {$ref: " + name + "}\n";
  }
  std::ofstream(folder / "all.yaml") << "openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths:\n" << paths;
  const auto loaded = load({.file = folder / "all.yaml"});
  std::filesystem::remove_all(folder);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error()[0].code, "file-unreadable");
  EXPECT_NE(loaded.error()[0].what.find("more than 1000 files"), std::string::npos);
  EXPECT_GT(loaded.error()[0].at.line, 1000u);
}

/// The documents the fuzzer starts from, and those it once found: none of them crashes or hangs the loader.
TEST(LoadErrors, EveryDocumentOfTheCorpusIsLoadedOrRefused) {
  std::size_t documents = 0;
  for (auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/fuzz/contract_fuzz")) {
    const auto loaded = load({.file = entry.path().string()});
    if (!loaded) EXPECT_FALSE(loaded.error().empty()) << entry.path();
    ++documents;
  }
  EXPECT_GT(documents, 40u);
}

TEST(LoadErrors, AFileThatIsNotThereIsToldByName) {
  const auto loaded = load({.file = "/nowhere/shop.yaml"});
  ASSERT_FALSE(loaded);
  ASSERT_EQ(loaded.error().size(), 1u);
  EXPECT_EQ(loaded.error()[0].code, "file-unreadable");
  EXPECT_EQ(loaded.error()[0].file, "/nowhere/shop.yaml");
}

}  // namespace
}  // namespace plimsoll::contract
