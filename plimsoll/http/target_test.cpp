#include "plimsoll/http/target.hpp"

#include "plimsoll/http/characters.hpp"

#include <gtest/gtest.h>

#include <string>

namespace plimsoll {
namespace {

TEST(Target, EachCharacterIsJudgedWhereverItStandsInThePath) {
  for (std::size_t size = 1; size <= 50; ++size)
    for (std::size_t at = 1; at < size; ++at)
      for (int code = 0; code < 256; ++code) {
        const char c = static_cast<char>(code);
        auto text = "/" + std::string(size - 1, "a9-/Z"[at % 5]);
        text[at] = c;
        const auto target = split_target(text);
        const bool encoded = c != '%' || (at + 2 < size && is(characters::kHex, text[at + 1]));
        ASSERT_EQ(target.has_value(), c == '?' || (is(characters::kPath, c) && encoded)) << text;
        if (!target) continue;
        ASSERT_EQ(target->path, std::string_view(text).substr(0, c == '?' ? at : size));
        ASSERT_EQ(target->has_query, c == '?');
        ASSERT_EQ(target->query, std::string_view(text).substr(c == '?' ? at + 1 : size));
      }
}

}  // namespace
}  // namespace plimsoll
