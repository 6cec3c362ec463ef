#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

// The fuzz target as a function, to be called with what is kept of its inputs.
#define LLVMFuzzerTestOneInput fuzz_jwt
#include "plimsoll/policy/authentication/jwt_fuzz.cpp"
#undef LLVMFuzzerTestOneInput

namespace {

TEST(Corpus, TokensAndKeysKeepTheirRules) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/fuzz/jwt_fuzz")) {
    std::ifstream input(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << input.rdbuf();
    const auto bytes = text.str();
    fuzz_jwt(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++count;
  }
  EXPECT_GE(count, 20u);
}

}  // namespace
