#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/validator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

// JSON Schema's official test suite, draft 2020-12: all required cases must agree; of the optional ones those that do
// not are listed here with the reason.

namespace plimsoll::schema {
namespace {

namespace fs = std::filesystem;
using json::Value;

fs::path real_data() {
  const char* given = std::getenv("PLIMSOLL_REAL_DATA");
  return given ? fs::path(given) : fs::path(PLIMSOLL_SOURCE_DIR) / ".." / "shared" / "real";
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// What the suite expects to find under http://localhost:1234/.
class Remotes {
 public:
  explicit Remotes(const fs::path& folder) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.path().extension() != ".json") continue;
      const auto value = json::parse(arena_.keep(read_file(entry.path())), arena_);
      if (value) documents_["http://localhost:1234/" + fs::relative(entry.path(), folder).string()] = *value;
    }
  }
  const Value* find(std::string_view uri) const {
    const auto found = documents_.find(std::string(uri));
    return found == documents_.end() ? nullptr : &found->second;
  }

 private:
  Arena arena_;
  std::map<std::string, Value> documents_;
};

struct Tally {
  int ran = 0, agreed = 0;
  std::set<std::string> wrong;
};

void run_file(const fs::path& path, const Remotes& remotes, bool assert_formats, Tally& tally) {
  Arena arena;
  const auto file = json::parse(arena.keep(read_file(path)), arena);
  ASSERT_TRUE(file) << path << ": " << file.error().detail;
  const auto find = [&](std::string_view uri) { return remotes.find(uri); };
  FunctionRef<const Value*(std::string_view)> resolve(find);
  for (const auto& group : file->array()) {
    CompileOptions options{.assert_formats = assert_formats};
    options.resolve = &resolve;
    const auto name = path.stem().string() + ": " + std::string(group.find("description")->string());
    const auto validator = compile(*group.find("schema"), options);
    for (const auto& test : group.find("tests")->array()) {
      ++tally.ran;
      const auto title = name + ": " + std::string(test.find("description")->string());
      if (!validator) {
        tally.wrong.insert(title);
        if (tally.wrong.size() < 40) std::printf("  %s: %s\n", title.c_str(), validator.error().detail.c_str());
        continue;
      }
      const auto& data = *test.find("data");
      const bool expected = test.find("valid")->boolean(), valid = validator->valid(data);
      const auto failures = validator->validate(data);
      EXPECT_EQ(failures.empty(), valid) << title;
      if (valid == expected)
        ++tally.agreed;
      else
        tally.wrong.insert(title);
    }
  }
}

Tally run_folder(const fs::path& folder, const Remotes& remotes, bool assert_formats) {
  Tally tally;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::ranges::sort(files);
  for (const auto& path : files) run_file(path, remotes, assert_formats, tally);
  return tally;
}

class Suite : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(real_data() / "json-schema")) {
      GTEST_SKIP() << "JSON Schema's suite is not at " << real_data() << "; set PLIMSOLL_REAL_DATA";
    }
    remotes_.emplace(real_data() / "json-schema" / "remotes");
  }
  fs::path tests() const { return real_data() / "json-schema" / "tests" / "draft2020-12"; }
  std::optional<Remotes> remotes_;
};

void report(const char* what, const Tally& tally) {
  std::printf("JSON Schema 2020-12, %s: %d cases, %d agree\n", what, tally.ran, tally.agreed);
  for (const auto& title : tally.wrong) std::printf("  differs: %s\n", title.c_str());
}

TEST_F(Suite, AllRequiredCasesAgree) {
  const auto tally = run_folder(tests(), *remotes_, false);
  report("required", tally);
  EXPECT_EQ(tally.ran, 1299);
  EXPECT_TRUE(tally.wrong.empty());
}

TEST_F(Suite, OptionalCasesAgree) {
  const auto tally = run_folder(tests() / "optional", *remotes_, false);
  report("optional", tally);
  EXPECT_EQ(tally.ran, 162);
  EXPECT_TRUE(tally.wrong.empty());
}

TEST_F(Suite, FormatCasesAgree) {
  const auto tally = run_folder(tests() / "optional" / "format", *remotes_, true);
  report("format", tally);
  EXPECT_EQ(tally.ran, 764);
  EXPECT_TRUE(tally.wrong.empty());
}

}  // namespace
}  // namespace plimsoll::schema
