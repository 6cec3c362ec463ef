#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

// The fuzz targets as functions, to be called with what is kept of their inputs.
#define LLVMFuzzerTestOneInput fuzz_reference
#include "plimsoll/contract/reference_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_contract
#include "plimsoll/contract/contract_fuzz.cpp"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_ruleset
#include "plimsoll/contract/ruleset_fuzz.cpp"
#undef LLVMFuzzerTestOneInput

namespace {

using Target = int (*)(const std::uint8_t*, std::size_t);

/// Runs a target with every file of its corpus; one that breaks it ends the test program.
std::size_t replay(const char* name, Target target) {
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(PLIMSOLL_SOURCE_DIR) / "fuzz" / name)) {
    std::ifstream input(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << input.rdbuf();
    const auto bytes = text.str();
    target(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++count;
  }
  return count;
}

TEST(Corpus, ReferencesLeadWhereAPlainReadingLeads) { EXPECT_GE(replay("reference_fuzz", fuzz_reference), 5u); }
TEST(Corpus, ContractsAreLoadedOrRefused) { EXPECT_GE(replay("contract_fuzz", fuzz_contract), 40u); }
TEST(Corpus, RulesetsAreReadAndAppliedOrRefused) { EXPECT_GE(replay("ruleset_fuzz", fuzz_ruleset), 6u); }

}  // namespace
