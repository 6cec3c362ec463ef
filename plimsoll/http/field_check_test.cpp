#include "plimsoll/http/field_check.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

namespace plimsoll::http {
namespace {

TEST(FieldCheck, AgreesWithLookingAtEachCharacter) {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed));
  std::mt19937 random{seed};
  constexpr std::string_view kUsual = "abcdefghijklmnopqrstuvwxyz-0123456789";
  int lower = 0, wrong = 0, lines = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text(random() % 50, 'a');
    for (auto& c : text) c = kUsual[random() % kUsual.size()];
    if (!text.empty() && random() % 2) text[random() % text.size()] = static_cast<char>(random());
    const auto form = form_of(text);
    ASSERT_EQ(form, field_check::slow_form(text)) << ::testing::PrintToString(text);
    ASSERT_EQ(is_one_line(text), find_control(text.data(), 0, text.size()) == text.size())
        << ::testing::PrintToString(text);
    lower += form == NameForm::lower, wrong += form == NameForm::wrong, lines += is_one_line(text);
  }
  EXPECT_GT(lower, 10'000);
  EXPECT_GT(wrong, 10'000);
  EXPECT_LT(lines, 199'000);
}

}  // namespace
}  // namespace plimsoll::http
