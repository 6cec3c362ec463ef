#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

// The fuzz target as a function, to be called with what is kept of its inputs.
#define LLVMFuzzerTestOneInput fuzz_redact
#include "plimsoll/telemetry/redact_fuzz.cpp"
#undef LLVMFuzzerTestOneInput

namespace {

TEST(Corpus, RedactionHolds) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/fuzz/redact_fuzz")) {
    std::ifstream input(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << input.rdbuf();
    const auto bytes = text.str();
    fuzz_redact(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++count;
  }
  EXPECT_GE(count, 2u);
}

}  // namespace
