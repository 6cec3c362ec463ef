#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

// The fuzz target as a function, to be called with what is kept of its inputs.
#define LLVMFuzzerTestOneInput fuzz_response_reader
#include "plimsoll/client/response_reader_fuzz.cpp"
#undef LLVMFuzzerTestOneInput

namespace {

TEST(Corpus, AnswersAreTheSameHoweverTheyCome) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/fuzz/response_reader_fuzz")) {
    std::ifstream input(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << input.rdbuf();
    const auto bytes = text.str();
    fuzz_response_reader(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++count;
  }
  EXPECT_GE(count, 20u);
}

}  // namespace
