#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

// The fuzz target as a function, to be called with what is kept of its inputs.
#define LLVMFuzzerTestOneInput fuzz_parameters
#include "plimsoll/contract/parameters_fuzz.cpp"
#undef LLVMFuzzerTestOneInput

namespace {

TEST(Corpus, ParametersAndBodiesAreValidWhenNothingIsSaid) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/fuzz/parameters_fuzz")) {
    std::ifstream input(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << input.rdbuf();
    const auto bytes = text.str();
    fuzz_parameters(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++count;
  }
  EXPECT_GE(count, 50u);
}

}  // namespace
