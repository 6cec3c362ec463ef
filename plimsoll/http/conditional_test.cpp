#include "plimsoll/http/conditional.hpp"

#include "plimsoll/http/date.hpp"

#include <gtest/gtest.h>

#include <initializer_list>

namespace plimsoll::http {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;
constexpr std::int64_t kThen = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT

struct Conditions {
  Arena arena;
  Headers headers{arena};
  Conditions(std::initializer_list<Header> lines) {
    for (auto& line : lines) headers.add(line.name, line.value);
  }
  Precondition of(std::string_view method, Validators current = {.etag = "\"a\"", .last_modified = kThen}) {
    return evaluate(method, headers, current, kNow);
  }
};

TEST(Date, IsWrittenAsImfFixdate) {
  EXPECT_EQ(as_text(format_date(kThen)), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(as_text(format_date(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(as_text(format_date(951782399)), "Mon, 28 Feb 2000 23:59:59 GMT");
}

TEST(Date, IsReadInItsThreeForms) {
  for (auto text : {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"})
    EXPECT_EQ(parse_date(text, kNow), kThen) << text;
  EXPECT_EQ(parse_date("Sun Nov 16 08:49:37 1994", kNow), kThen + 10 * 86400);
}

TEST(Date, OfTwoDigitsIsNeverMoreThanFiftyYearsAhead) {
  // kNow is in 2027: 77 is 2077, 78 is 1978.
  EXPECT_EQ(parse_date("Friday, 01-Jan-77 00:00:00 GMT", kNow), 3376684800);
  EXPECT_EQ(parse_date("Sunday, 01-Jan-78 00:00:00 GMT", kNow), 252460800);
}

TEST(Date, ThatIsNoneIsRefused) {
  for (auto text :
       {"", "0", "-1", "yesterday", "Sun, 06 Nov 1994 08:49:37", "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sux, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT"})
    EXPECT_FALSE(parse_date(text, kNow)) << text;
}

TEST(Date, SurvivesBothWays) {
  for (std::int64_t at = 0; at < 4'000'000'000; at += 86'399 * 37)
    EXPECT_EQ(parse_date(as_text(format_date(at)), kNow), at);
}

TEST(EntityTag, IsQuotedAndPerhapsWeak) {
  EXPECT_EQ(parse_entity_tag("\"a b\"").has_value(), false);
  EXPECT_EQ(parse_entity_tag("\"ab\"")->opaque, "ab");
  EXPECT_FALSE(parse_entity_tag("\"ab\"")->weak);
  EXPECT_TRUE(parse_entity_tag("W/\"\"")->weak);
  for (auto text : {"", "a", "\"a", "a\"", "w/\"a\"", "\"a\"b", "\"a\" ", "W/ \"a\""})
    EXPECT_FALSE(parse_entity_tag(text)) << text;
}

TEST(EntityTag, OfACompressedAnswerHasASuffix) {
  EXPECT_EQ(coding_of({"x;gzip"}), "gzip");
  EXPECT_EQ(without_coding({"x;br"}).opaque, "x");
  EXPECT_EQ(without_coding({"x;zstd", true}).weak, true);
  EXPECT_EQ(without_coding({"x;deflate"}).opaque, "x;deflate");
}

TEST(Conditional, RequestsWithoutConditionGoOn) {
  EXPECT_EQ(Conditions({}).of("GET"), Precondition::none);
  EXPECT_EQ(Conditions({{"if-match", "\"b\""}}).of("OPTIONS"), Precondition::none);
}

TEST(Conditional, IfMatchComparesStrongly) {
  EXPECT_EQ(Conditions({{"if-match", "\"a\""}}).of("PUT"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-match", "\"x\", W/\"y\" ,,\"a\""}}).of("PUT"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-match", "\"x\""}, {"if-match", "\"a\""}}).of("PUT"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-match", "W/\"a\""}}).of("PUT"), Precondition::failed);
  EXPECT_EQ(Conditions({{"if-match", "\"a\""}}).of("PUT", {.etag = "W/\"a\""}), Precondition::failed);
  EXPECT_EQ(Conditions({{"if-match", "\"b\""}}).of("GET"), Precondition::failed);
}

TEST(Conditional, IfMatchIgnoresTheSuffixOfCompression) {
  EXPECT_EQ(Conditions({{"if-match", "\"a;gzip\""}}).of("PATCH"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-none-match", "\"a;br\""}}).of("GET"), Precondition::not_modified);
}

TEST(Conditional, AStarAsksWhetherThereIsAnything) {
  EXPECT_EQ(Conditions({{"if-match", "*"}}).of("PUT"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-match", "*"}}).of("PUT", {.exists = false}), Precondition::failed);
  EXPECT_EQ(Conditions({{"if-none-match", "*"}}).of("PUT", {.exists = false}), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-none-match", "*"}}).of("PUT"), Precondition::failed);
  EXPECT_EQ(Conditions({{"if-none-match", "*"}}).of("HEAD"), Precondition::not_modified);
}

TEST(Conditional, IfNoneMatchComparesWeakly) {
  EXPECT_EQ(Conditions({{"if-none-match", "W/\"a\""}}).of("GET"), Precondition::not_modified);
  EXPECT_EQ(Conditions({{"if-none-match", "\"b\""}}).of("GET"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-none-match", "\"a\""}}).of("DELETE"), Precondition::failed);
}

TEST(Conditional, DatesCountOnlyWhereNoTagDoes) {
  constexpr auto kEarlier = "Sun, 06 Nov 1994 08:49:36 GMT", kSame = "Sun, 06 Nov 1994 08:49:37 GMT";
  EXPECT_EQ(Conditions({{"if-modified-since", kSame}}).of("GET"), Precondition::not_modified);
  EXPECT_EQ(Conditions({{"if-modified-since", kEarlier}}).of("GET"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-modified-since", kSame}}).of("POST"), Precondition::none);
  EXPECT_EQ(Conditions({{"if-modified-since", kSame}, {"if-none-match", "\"b\""}}).of("GET"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-unmodified-since", kEarlier}}).of("PUT"), Precondition::failed);
  EXPECT_EQ(Conditions({{"if-unmodified-since", kSame}}).of("PUT"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-unmodified-since", kEarlier}, {"if-match", "\"a\""}}).of("PUT"), Precondition::holds);
  EXPECT_EQ(Conditions({{"if-modified-since", "soon"}}).of("GET"), Precondition::none);
}

TEST(Conditional, BothTagConditionsAreAskedInOrder) {
  EXPECT_EQ(Conditions({{"if-match", "\"a\""}, {"if-none-match", "\"a\""}}).of("GET"), Precondition::not_modified);
  EXPECT_EQ(Conditions({{"if-match", "\"b\""}, {"if-none-match", "\"a\""}}).of("GET"), Precondition::failed);
}

TEST(Conditional, AnUnreadableListLetsNoChangeThrough) {
  for (auto list : {"a", "", "\"a\" \"b\"", "\"a", "*, \"b\"", ","}) {
    EXPECT_EQ(Conditions({{"if-match", list}}).of("PUT"), Precondition::failed) << list;
    EXPECT_EQ(Conditions({{"if-none-match", list}}).of("PUT"), Precondition::failed) << list;
    EXPECT_EQ(Conditions({{"if-none-match", list}}).of("GET"), Precondition::holds) << list;
  }
}

TEST(Conditional, IfRangeNeedsExactlyTheSame) {
  const Validators current{.etag = "\"a\"", .last_modified = kThen};
  EXPECT_TRUE(range_applies(Conditions({}).headers, current, kNow));
  EXPECT_TRUE(range_applies(Conditions({{"if-range", "\"a\""}}).headers, current, kNow));
  EXPECT_FALSE(range_applies(Conditions({{"if-range", "W/\"a\""}}).headers, current, kNow));
  EXPECT_FALSE(range_applies(Conditions({{"if-range", "\"a;gzip\""}}).headers, current, kNow));
  EXPECT_TRUE(range_applies(Conditions({{"if-range", "Sun, 06 Nov 1994 08:49:37 GMT"}}).headers, current, kNow));
  EXPECT_FALSE(range_applies(Conditions({{"if-range", "Sun, 06 Nov 1994 08:49:38 GMT"}}).headers, current, kNow));
}

}  // namespace
}  // namespace plimsoll::http
