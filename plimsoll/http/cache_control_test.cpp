#include "plimsoll/http/cache_control.hpp"

#include <gtest/gtest.h>

namespace plimsoll::http {
namespace {

constexpr std::int64_t kNow = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT

Stored stored(std::string_view control, std::int64_t at = kNow) {
  return {.control = parse_cache_control(control), .request_time = at, .response_time = at, .date = at};
}
Reuse after(std::int64_t age, std::string_view answer, std::string_view request = "") {
  const auto s = stored(answer);
  return reuse(parse_cache_control(request), s, freshness_lifetime(s, true, false), age, true);
}

TEST(CacheControl, ReadsWhatPeopleSend) {
  const auto c = parse_cache_control("public, MAX-AGE=\"60\" ,s-maxage=30,, stale-while-revalidate=10, new=\"a,b\"");
  EXPECT_TRUE(c.is_public);
  EXPECT_EQ(c.max_age, 60);
  EXPECT_EQ(c.s_maxage, 30);
  EXPECT_EQ(c.stale_while_revalidate, 10);
  EXPECT_TRUE(parse_cache_control("private=\"set-cookie, x\", no-cache=\"a\"").is_private);
  EXPECT_TRUE(parse_cache_control("no-cache=\"a\"").no_cache);
  EXPECT_EQ(parse_cache_control("max-stale").max_stale, CacheControl::kForever);
}

TEST(CacheControl, WhatItCannotReadMakesStaleNotFresh) {
  for (auto value : {"max-age=", "max-age", "max-age=-1", "max-age=1.5", "max-age=x", "max-age=60, max-age=0"})
    EXPECT_EQ(parse_cache_control(value).max_age, 0) << value;
  EXPECT_EQ(parse_cache_control("max-age=99999999999999999999999").max_age, CacheControl::kForever);
  EXPECT_TRUE(parse_cache_control("a b, no-store").no_store);
  EXPECT_FALSE(parse_cache_control("x=\"no-store").no_store);
  for (const auto* text :
       {"no-transform; private, max-age=60", "private =\"set-cookie\", max-age=60", "private= \"set-cookie\"",
        "max-age=60, no-transform no-store", "max-age=60; private", "public; no-store, max-age=60", "=1, max-age=60"})
    EXPECT_TRUE(parse_cache_control(text).no_store) << text;
  for (const auto* text : {"max-age=60", " , max-age=60,, ", "x=y, max-age=60", "x=\"a;b\", public"})
    EXPECT_FALSE(parse_cache_control(text).no_store) << text;
}

TEST(CacheControl, IsWrittenAsItIsRead) {
  for (auto text : {"public, max-age=60", "private, no-cache", "no-store", "",
                    "public, immutable, max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4"}) {
    EXPECT_EQ(to_string(parse_cache_control(text)), text);
  }
}

TEST(CacheControl, TargetedIsAStructuredDictionary) {
  EXPECT_EQ(parse_targeted_cache_control("max-age=600, no-store=?0, must-revalidate")->max_age, 600);
  EXPECT_FALSE(parse_targeted_cache_control("max-age=600, no-store=?0")->no_store);
  EXPECT_TRUE(parse_targeted_cache_control("no-store;x=1;y=\"a\"")->no_store);
  EXPECT_EQ(parse_targeted_cache_control("max-age=1, max-age=2")->max_age, 2);  // the last counts
  EXPECT_EQ(parse_targeted_cache_control("max-age=1.5")->max_age, std::nullopt);
  for (auto value : {"", "Max-Age=1", "max-age=", "max-age=1,", "max-age=\"a", "a b", "=1", "a;=1", "a=(1)"})
    EXPECT_FALSE(parse_targeted_cache_control(value)) << value;
}

TEST(Freshness, SharedAgeComesBeforeAgeBeforeExpires) {
  auto s = stored("max-age=60, s-maxage=30");
  s.expires = kNow + 10;
  EXPECT_EQ(freshness_lifetime(s, true, false), 30);
  EXPECT_EQ(freshness_lifetime(s, false, false), 60);
  s.control = {};
  EXPECT_EQ(freshness_lifetime(s, true, false), 10);
  s.expires = kNow - 10;
  EXPECT_EQ(freshness_lifetime(s, true, false), 0);
}

TEST(Freshness, GuessesOnlyWhenAsked) {
  auto s = stored("");
  s.last_modified = kNow - 1000;
  EXPECT_EQ(freshness_lifetime(s, true, false), 0);
  EXPECT_EQ(freshness_lifetime(s, true, true), 100);
  s.status = 302;
  EXPECT_EQ(freshness_lifetime(s, true, true), 0);
}

TEST(Freshness, AgeIsTheOlderOfWhatTheClocksAndTheAgeFieldSay) {
  auto s = stored("max-age=60");
  EXPECT_EQ(current_age(s, kNow + 5), 5);
  s.date = kNow - 20;
  EXPECT_EQ(current_age(s, kNow + 5), 25);
  s.age_value = 40;
  s.request_time = kNow - 2;
  EXPECT_EQ(current_age(s, kNow + 5), 47);
}

TEST(Freshness, TimesAreReadFromTheAnswer) {
  Arena arena;
  Headers headers{arena};
  headers.add("cache-control", "max-age=5");
  headers.add("cache-control", "public");
  headers.add("date", "Sun, 06 Nov 1994 08:49:30 GMT");
  headers.add("expires", "0");
  headers.add("age", "3");
  const auto s = stored_times(200, headers, kNow - 1, kNow);
  EXPECT_EQ(s.control.max_age, 5);
  EXPECT_TRUE(s.control.is_public);
  EXPECT_EQ(s.date, kNow - 7);
  EXPECT_TRUE(s.expires_unreadable);
  EXPECT_EQ(s.age_value, 3);
}

TEST(CacheControl, NamesOfQualifiedDirectivesAreForWhoAsks) {
  std::vector<std::string> names;
  auto control = parse_cache_control(R"(no-cache="Set-Cookie, ,X-A", private="x-b", max-age=5)", &names);
  EXPECT_EQ(names, (std::vector<std::string>{"set-cookie", "x-a", "x-b"}));
  EXPECT_FALSE(control.no_cache || control.is_private);
  EXPECT_EQ(control.max_age, 5);
  EXPECT_TRUE(parse_cache_control(R"(no-cache="Set-Cookie")").no_cache);
  for (auto unreadable : {R"(no-cache="")", R"(no-cache="a b")", R"(no-cache="a, b;c")", "no-cache=\"a", "no-cache"}) {
    names.clear();
    EXPECT_TRUE(parse_cache_control(unreadable, &names).no_cache) << unreadable;
    EXPECT_TRUE(names.empty()) << unreadable;
  }
}

TEST(Freshness, OfSeveralAgesTheFirstCountsAndWhatIsNoNumberDoesNot) {
  Arena arena;
  const auto age = [&](std::string_view value) {
    Headers headers{arena};
    headers.add("age", value);
    return stored_times(200, headers, kNow, kNow).age_value;
  };
  EXPECT_EQ(age("7200"), 7200);
  EXPECT_EQ(age(" 7200 , 0"), 7200);
  EXPECT_EQ(age("0,7200"), 0);
  for (auto wrong : {"", "x", "-1", "1.0", "1 2", ",5"}) EXPECT_EQ(age(wrong), 0) << wrong;
}

TEST(Reuse, FreshUntilItsTimeIsOver) {
  EXPECT_EQ(after(59, "max-age=60"), Reuse::fresh);
  EXPECT_EQ(after(60, "max-age=60"), Reuse::revalidate);
  EXPECT_EQ(after(0, "max-age=60, no-cache"), Reuse::revalidate);
}

TEST(Reuse, StaleWithinTheTimesOfRfc5861) {
  constexpr auto kAnswer = "max-age=60, stale-while-revalidate=10, stale-if-error=100";
  EXPECT_EQ(after(69, kAnswer), Reuse::stale_while_revalidate);
  EXPECT_EQ(after(70, kAnswer), Reuse::stale_if_error);
  EXPECT_EQ(after(159, kAnswer), Reuse::stale_if_error);
  EXPECT_EQ(after(160, kAnswer), Reuse::revalidate);
}

TEST(Reuse, NeverStaleWhereTheAnswerForbidsIt) {
  EXPECT_EQ(after(61, "max-age=60, must-revalidate, stale-while-revalidate=10"), Reuse::revalidate);
  EXPECT_EQ(after(61, "max-age=60, proxy-revalidate, stale-if-error=10"), Reuse::revalidate);
  EXPECT_EQ(after(61, "s-maxage=60, stale-if-error=10"), Reuse::revalidate);
}

TEST(Reuse, TheCallerMayWantItFresherOrTakeItStaler) {
  EXPECT_EQ(after(30, "max-age=60", "no-cache"), Reuse::revalidate);
  EXPECT_EQ(after(30, "max-age=60", "max-age=20"), Reuse::revalidate);
  EXPECT_EQ(after(30, "max-age=60", "max-age=40"), Reuse::fresh);
  EXPECT_EQ(after(30, "max-age=60", "min-fresh=30"), Reuse::revalidate);
  EXPECT_EQ(after(30, "max-age=60", "min-fresh=29"), Reuse::fresh);
  EXPECT_EQ(after(70, "max-age=60", "max-stale=10"), Reuse::fresh);
  EXPECT_EQ(after(71, "max-age=60", "max-stale=10"), Reuse::revalidate);
  EXPECT_EQ(after(70, "max-age=60", "max-stale"), Reuse::fresh);
}

TEST(Storable, OnlyWhatNobodyForbids) {
  const auto may = [](std::string_view answer, std::string_view request = "", bool authorized = false,
                      std::string_view method = "GET") {
    return storable(method, parse_cache_control(request), authorized, stored(answer), true);
  };
  EXPECT_TRUE(may("max-age=1"));
  EXPECT_TRUE(may(""));  // 200 is cacheable by default
  EXPECT_FALSE(may("no-store, max-age=1"));
  EXPECT_FALSE(may("private, max-age=1"));
  EXPECT_FALSE(may("max-age=1", "no-store"));
  EXPECT_FALSE(may("max-age=1", "", false, "POST"));
  EXPECT_FALSE(may("max-age=1", "", true));
  for (auto leave : {"public", "s-maxage=1", "max-age=1, must-revalidate"}) EXPECT_TRUE(may(leave, "", true)) << leave;
  auto partial = stored("max-age=1");
  partial.status = 206;
  EXPECT_FALSE(storable("GET", {}, false, partial, true));
  partial.status = 500;
  partial.control = {};
  EXPECT_FALSE(storable("GET", {}, false, partial, true));
}

}  // namespace
}  // namespace plimsoll::http
