#include "plimsoll/http/negotiate.hpp"

#include <gtest/gtest.h>

#include <string>

namespace plimsoll::http {
namespace {

TEST(Preference, IsReadWithItsWeight) {
  std::string_view list = " text/html;level=1;q=0.7 , ,gzip;Q=0.125, de-CH ;q=1.000;x=y";
  Preference p;
  ASSERT_TRUE(next_preference(list, p));
  EXPECT_EQ(p.value, "text/html");
  EXPECT_EQ(p.parameters, ";level=1");
  EXPECT_EQ(p.weight, 700);
  ASSERT_TRUE(next_preference(list, p));
  EXPECT_EQ(p.weight, 125);
  ASSERT_TRUE(next_preference(list, p));
  EXPECT_EQ(p.value, "de-CH");
  EXPECT_EQ(p.weight, 1000);
  EXPECT_FALSE(next_preference(list, p));
}

TEST(Preference, OfAnUnreadableWeightIsNone) {
  for (std::string text : {"2", "1.5", "-1", ".5", "0,5", "0.1234", "x", "", "1.001", "0..1"}) {
    const auto whole = "a;q=" + text;
    std::string_view list = whole;
    Preference p;
    ASSERT_TRUE(next_preference(list, p));
    EXPECT_EQ(p.weight, 0) << text;
  }
}

TEST(Preference, QuotesHideSeparators) {
  std::string_view list = R"(a/b;x="1,2;q=0";q=0.5)";
  Preference p;
  ASSERT_TRUE(next_preference(list, p));
  EXPECT_EQ(p.weight, 500);
  EXPECT_TRUE(list.empty());
}

TEST(MediaType, TheMostSpecificRangeDecides) {
  constexpr auto kAccept = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, */*;q=0.5";
  EXPECT_EQ(media_type_weight(kAccept, "text/plain;format=flowed"), 1000);
  EXPECT_EQ(media_type_weight(kAccept, "text/plain"), 700);
  EXPECT_EQ(media_type_weight(kAccept, "text/html"), 300);
  EXPECT_EQ(media_type_weight(kAccept, "image/jpeg"), 500);
  EXPECT_EQ(media_type_weight("application/json;q=0, */*", "application/json"), 0);
  EXPECT_EQ(media_type_weight("", "application/json"), 1000);
  EXPECT_EQ(media_type_weight("application/json; charset=UTF-8", "application/json"), 1000);
  EXPECT_EQ(media_type_weight("APPLICATION/JSON", "application/json"), 1000);
}

TEST(MediaType, CsvHasTheHeaderThatItsAnswersSay) {
  EXPECT_EQ(media_type_weight("text/csv; header=present", "text/csv"), 1000);
  EXPECT_EQ(media_type_weight("text/csv; charset=utf-8; header=present", "text/csv"), 1000);
  EXPECT_EQ(media_type_weight("text/csv; header=absent", "text/csv"), 0);
  EXPECT_EQ(media_type_weight("text/csv; header=present", "text/csv; header=absent"), 0);
  EXPECT_EQ(media_type_weight("text/plain; header=present", "text/plain"), 0);
}

TEST(MediaType, TheFirstOfEqualsIsChosenAndNoneIsNone) {
  constexpr std::string_view kOffers[] = {"application/json", "text/csv"};
  EXPECT_EQ(best_media_type("*/*", kOffers), 0u);
  EXPECT_EQ(best_media_type("text/csv, application/json;q=0.9", kOffers), 1u);
  EXPECT_EQ(best_media_type("text/*;q=0.001, application/*;q=0", kOffers), 1u);
  EXPECT_EQ(best_media_type("image/png", kOffers), std::nullopt);
}

TEST(Coding, FollowsWeightsThenOurOrder) {
  constexpr Coding kOffers[] = {Coding::zstd, Coding::br, Coding::gzip};
  const auto best = [&](std::string_view accept) { return best_coding(&accept, kOffers); };
  EXPECT_EQ(best_coding(nullptr, kOffers), Coding::identity);
  EXPECT_EQ(best(""), Coding::identity);
  EXPECT_EQ(best("gzip, deflate, br, zstd"), Coding::zstd);
  EXPECT_EQ(best("gzip, deflate, br"), Coding::br);
  EXPECT_EQ(best("gzip;q=1.0, br;q=0.5"), Coding::gzip);
  EXPECT_EQ(best("x-gzip"), Coding::gzip);
  EXPECT_EQ(best("*"), Coding::zstd);
  EXPECT_EQ(best("zstd;q=0, *;q=0.5"), Coding::br);
  EXPECT_EQ(best("gzip;q=0"), Coding::identity);
  EXPECT_EQ(best("identity, gzip;q=0.5"), Coding::identity);
  EXPECT_EQ(best("identity;q=0.5, gzip;q=0.5"), Coding::gzip);
  EXPECT_EQ(best("deflate"), Coding::identity);
  EXPECT_EQ(best("gzip;q=nonsense"), Coding::identity);
  EXPECT_EQ(best("identity"), Coding::identity);
  EXPECT_EQ(best("identity, gzip"), Coding::gzip);
  EXPECT_EQ(best(" GZip ,\tBR,"), Coding::br);
  EXPECT_EQ(best("gzip br, , zst"), Coding::identity);
  EXPECT_EQ(best("gzip, br;q=0.1"), Coding::gzip) << "a weight anywhere is read";
  EXPECT_EQ(best("\"a,gzip\", deflate"), Coding::identity) << "what is quoted is no name";
}

TEST(MediaType, AParameterThatStandsTwiceIsFound) {
  for (auto* once : {"text/plain", "text/plain;", "text/plain; ;", "text/plain; charset=utf-8", "a/b; x=1; y=1; xy=2",
                     R"(a/b; x="; x=2"; y=1)"})
    EXPECT_FALSE(repeats_parameter(once)) << once;
  for (auto* twice : {"a/b; x=1; x=1", "a/b;charset=utf-8; CHARSET=utf-16", "a/b; x; x", "a/b; y=1; x=1; z=2 ;X=2",
                      R"(a/b; x="\"; x=2"; x=3)"})
    EXPECT_TRUE(repeats_parameter(twice)) << twice;
  std::string many = "a/b";
  for (int i = 0; i < 5000; ++i) many += ";p" + std::to_string(i) + "=1";
  EXPECT_TRUE(repeats_parameter(many));  // without comparing each with each
}

}  // namespace
}  // namespace plimsoll::http
