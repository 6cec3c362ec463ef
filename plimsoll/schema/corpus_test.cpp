#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

// The fuzz targets as functions, to be called with what is kept of their inputs.
#define LLVMFuzzerTestOneInput fuzz_parse
#include "plimsoll/json/parse_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_yaml
#include "plimsoll/json/yaml_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_schema
#include "plimsoll/schema/schema_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_validator
#include "plimsoll/schema/validator_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_format
#include "plimsoll/schema/format_fuzz.cpp"
#undef LLVMFuzzerTestOneInput

namespace {

using Target = int (*)(const std::uint8_t*, std::size_t);

/// Runs a target with every file of its corpus; one that breaks it ends the test program.
std::size_t replay(const char* name, Target target) {
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(PLIMSOLL_SOURCE_DIR) / "fuzz" / name)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    const auto bytes = text.str();
    target(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++count;
  }
  return count;
}

TEST(Corpus, ParsesJson) { EXPECT_GE(replay("parse_fuzz", fuzz_parse), 10u); }
TEST(Corpus, ReadsYaml) { EXPECT_GE(replay("yaml_fuzz", fuzz_yaml), 10u); }
TEST(Corpus, CompilesAndValidates) { EXPECT_GE(replay("schema_fuzz", fuzz_schema), 15u); }
TEST(Corpus, JudgesAlikeInOtherWords) { EXPECT_GE(replay("validator_fuzz", fuzz_validator), 5u); }
TEST(Corpus, FormatsAndPatterns) { EXPECT_GE(replay("format_fuzz", fuzz_format), 10u); }

}  // namespace
