#include "plimsoll/http/origin_rules.hpp"

#include "plimsoll/base/arena.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/http/origin_rules_check.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <random>
#include <sstream>

namespace plimsoll::http::origin {
namespace {

using http::Reuse;

constexpr std::int64_t kNow = 1'700'000'000;

class OriginRules : public testing::Test {
 public:
  using Fields = std::initializer_list<Header>;

  Headers headers(Fields fields) {
    Headers made{arena_};
    for (auto& [name, value] : fields) made.add(name, value);
    return made;
  }
  Asked asked(Fields fields, bool authorized = false) { return asked_of(headers(fields), authorized, true); }
  std::shared_ptr<Stored> stored(Fields response, std::uint16_t status = 200, Fields request = {}, Rules rules = {},
                                 bool authorized = false) {
    auto made = stored_of(status, headers(response), asked(request, authorized),
                          {.requested = kNow, .received = kNow, .at = 0, .began = 7}, rules);
    if (made) made->content = std::make_shared<const Content>("0123456789");
    return made;
  }
  static std::string_view at(std::int64_t seconds) {
    static std::deque<http::DateText> texts;
    return http::as_text(texts.emplace_back(http::format_date(seconds)));
  }
  Reuse use(const std::shared_ptr<Stored>& of, std::int64_t age, Fields request = {}, bool changed = false) {
    return use_of(*of, asked(request), age, changed);
  }
  std::vector<std::string> changed(std::string_view path, Fields response) {
    return changed_paths({.scheme = "https", .authority = "shop.example:8443", .path = path}, headers(response));
  }
  Part part(Fields request, Fields response = {{"cache-control", "max-age=60"}, {"etag", "\"a\""}}) {
    return part_of(headers(request), *stored(response), kNow);
  }

 protected:
  Arena arena_;
};

TEST_F(OriginRules, StoreWhatHasFreshnessOrAValidatorAndNothingElse) {
  EXPECT_TRUE(stored({{"cache-control", "max-age=1"}}));
  EXPECT_TRUE(stored({{"expires", at(kNow + 5)}}));
  EXPECT_TRUE(stored({{"etag", "\"a\""}}));
  EXPECT_TRUE(stored({{"last-modified", at(kNow - 5)}}));
  EXPECT_TRUE(stored({{"cache-control", "max-age=0, stale-if-error=5"}}));
  EXPECT_FALSE(stored({}));
  EXPECT_FALSE(stored({{"cache-control", "max-age=0"}}));
  EXPECT_FALSE(stored({{"etag", "not a tag"}}));
  EXPECT_FALSE(stored({{"last-modified", "never"}}));
}

TEST_F(OriginRules, StoreNoPartsConfirmationsAndInterimResponses) {
  for (const std::uint16_t status : {100, 103, 199, 206, 304, 600})
    EXPECT_FALSE(stored({{"cache-control", "max-age=60"}}, status)) << status;
  for (const std::uint16_t status : {200, 299, 302, 404, 451, 500, 599})
    EXPECT_TRUE(stored({{"cache-control", "max-age=60"}}, status)) << status;
  EXPECT_FALSE(stored({{"etag", "\"a\""}}, 500));  // not cacheable by default
  EXPECT_TRUE(stored({{"etag", "\"a\""}}, 404));
}

TEST_F(OriginRules, StoreNothingThatAnybodyForbids) {
  EXPECT_FALSE(stored({{"cache-control", "max-age=60, no-store"}}));
  EXPECT_FALSE(stored({{"cache-control", "max-age=60, private"}}));
  EXPECT_FALSE(stored({{"cache-control", "max-age=60"}}, 200, {{"cache-control", "no-store"}}));
  EXPECT_FALSE(stored({{"cache-control", "max-age=60"}, {"vary", "accept, *"}}));
  EXPECT_FALSE(stored({{"cache-control", "max-age=60, must-understand"}}, 299));
  EXPECT_TRUE(stored({{"cache-control", "max-age=60, must-understand, no-store"}}));
}

TEST_F(OriginRules, StoreForAuthorizedRequestsOnlyWhatMayBeShared) {
  EXPECT_FALSE(stored({{"cache-control", "max-age=60"}}, 200, {{"authorization", "x"}}));
  EXPECT_FALSE(stored({{"cache-control", "max-age=60"}}, 200, {}, {}, true));
  for (auto leave : {"max-age=60, public", "s-maxage=60", "max-age=60, must-revalidate"}) {
    const auto made = stored({{"cache-control", leave}}, 200, {{"authorization", "x"}});
    ASSERT_TRUE(made) << leave;
    EXPECT_TRUE(made->for_authorized);
  }
  EXPECT_FALSE(stored({{"cache-control", "max-age=60"}})->for_authorized);
}

TEST_F(OriginRules, KeepFieldsButThoseOfAConnectionAndThoseWithheld) {
  const auto made = stored({{"Cache-Control", "max-age=60, private=\"x-secret\", no-cache=\"X-Asked\""},
                            {"Connection", "close, X-Hop"},
                            {"X-Hop", "1"},
                            {"X-Secret", "1"},
                            {"x-asked", "1"},
                            {"Keep-Alive", "1"},
                            {"Age", "3"},
                            {"Content-Length", "10"},
                            {"Set-Cookie", "a=b"},
                            {"X-Kept", "1"}});
  ASSERT_TRUE(made);
  std::vector<std::string> names;
  for (auto& [name, value] : made->fields) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"cache-control", "set-cookie", "x-kept", "date"}));
  EXPECT_EQ(made->find("date"), at(kNow));
}

TEST_F(OriginRules, FollowTheTargetedFieldWhereItCanBeRead) {
  EXPECT_EQ(stored({{"cache-control", "no-store"}, {"cdn-cache-control", "max-age=60"}})->lifetime, 60);
  EXPECT_EQ(stored({{"cdn-cache-control", "max-age=60"}, {"expires", "0"}})->lifetime, 60);
  EXPECT_FALSE(stored({{"cdn-cache-control", "max-age=0"}, {"expires", at(kNow + 60)}}));
  EXPECT_FALSE(stored({{"cache-control", "no-store"}, {"cdn-cache-control", "max-age=60, &"}}));
}

TEST_F(OriginRules, GuessOnlyWhenToldTo) {
  const Fields old{{"last-modified", at(kNow - 1000)}, {"date", at(kNow)}};
  EXPECT_EQ(stored(old)->lifetime, 0);
  EXPECT_EQ(stored(old, 200, {}, {.heuristic = true})->lifetime, 100);
}

TEST_F(OriginRules, StoreCookiesByExplicitLeaveAlone) {
  const Rules strict{.cookies = false}, guessing{.heuristic = true};
  const auto sets = [&](std::string_view control, Rules rules) {
    return stored({{"cache-control", control}, {"set-cookie", "a=b"}}, 200, {}, rules) != nullptr;
  };
  EXPECT_TRUE(sets("max-age=60", {}));
  EXPECT_FALSE(sets("max-age=60", strict));
  EXPECT_TRUE(sets("max-age=60, public", strict));
  EXPECT_TRUE(sets("s-maxage=60", strict));
  EXPECT_TRUE(stored({{"cdn-cache-control", "max-age=60"}, {"set-cookie", "a=b"}}, 200, {}, strict));
  const Fields guessed{{"last-modified", at(kNow - 1000)}, {"date", at(kNow)}, {"set-cookie", "a=b"}};
  EXPECT_EQ(stored(guessed, 200, {}, guessing)->lifetime, 0);
}

TEST_F(OriginRules, CountAgeFromTheReceiptOfWhatWasAged) {
  const auto made = stored({{"cache-control", "max-age=60"}, {"age", "30, 5"}});
  EXPECT_EQ(made->age(0), 30);
  EXPECT_EQ(made->age(10 * kSecond), 40);
  EXPECT_EQ(stored({{"cache-control", "max-age=60"}, {"age", "x"}})->age(0), 0);
}

TEST_F(OriginRules, UseNothingUnconfirmedThatWasChanged) {
  const auto made = stored({{"cache-control", "max-age=60, stale-if-error=60"}});
  EXPECT_EQ(use(made, 1), Reuse::fresh);
  EXPECT_EQ(use(made, 61), Reuse::stale_if_error);
  EXPECT_EQ(use(made, 0, {{"cache-control", "max-age=0"}}), Reuse::revalidate);
  EXPECT_EQ(use(made, 61, {{"cache-control", "max-age=0, max-stale"}}), Reuse::fresh);
  EXPECT_EQ(use(made, 1, {}, true), Reuse::revalidate);
  EXPECT_EQ(use(made, 61, {{"cache-control", "max-stale"}}, true), Reuse::revalidate);
}

TEST_F(OriginRules, ReadPragmaOnlyWithoutCacheControl) {
  EXPECT_TRUE(asked({{"pragma", "x, No-Cache"}}).control.no_cache);
  EXPECT_FALSE(asked({{"pragma", "no-cache"}, {"cache-control", "max-age=60"}}).control.no_cache);
  EXPECT_TRUE(asked({{"if-none-match", "*"}}).conditional);
  EXPECT_TRUE(asked({{"if-match", "*"}}).for_origin);
}

TEST_F(OriginRules, FollowDemandsOfRequestsOnlyWhereTold) {
  const auto said =
      asked_of(headers({{"cache-control", "no-cache, max-age=0, min-fresh=5, max-stale=7, no-store"}}), false, false);
  EXPECT_EQ(said.control, (http::CacheControl{.max_stale = 7, .no_store = true}));
  EXPECT_FALSE(asked_of(headers({{"pragma", "no-cache"}}), false, false).control.no_cache);
  EXPECT_TRUE(asked_of(headers({{"cache-control", "only-if-cached"}}), false, false).control.only_if_cached);
}

TEST_F(OriginRules, LeaveToTheOriginWhatItTakesForAnotherRequest) {
  EXPECT_TRUE(asked({{"connection", "close, Accept-Language"}, {"accept-language", "de"}}).for_origin);
  EXPECT_FALSE(asked({{"connection", "close, Accept-Language"}}).for_origin);
  EXPECT_FALSE(asked({{"connection", "Keep-Alive, TE"}, {"keep-alive", "1"}, {"te", "trailers"}}).for_origin);
  EXPECT_TRUE(asked({{"x-http-method-override", "DELETE"}}).for_origin);
}

TEST_F(OriginRules, AskWithTheValidatorsThatCanBeRead) {
  const auto both = stored({{"etag", "W/\"a\""}, {"last-modified", at(kNow - 5)}});
  EXPECT_EQ(condition_of(*both).etag, "W/\"a\"");
  EXPECT_EQ(condition_of(*both).last_modified, at(kNow - 5));
  const auto one = stored({{"etag", "a"}, {"cache-control", "max-age=1"}});
  EXPECT_FALSE(condition_of(*one));
}

TEST_F(OriginRules, KnowWhatAConfirmationIsOf) {
  const auto made = stored({{"etag", "\"a\""}, {"last-modified", at(kNow - 5)}});
  const auto is = [&](Fields newer, bool head = false) { return is_of(*made, headers(newer), head); };
  EXPECT_TRUE(is({}));
  EXPECT_TRUE(is({{"etag", "\"a\""}}));
  EXPECT_TRUE(is({{"etag", "W/\"a\""}}));
  EXPECT_FALSE(is({{"etag", "\"b\""}}));
  EXPECT_TRUE(is({{"last-modified", at(kNow - 5)}}));
  EXPECT_FALSE(is({{"last-modified", at(kNow - 6)}}));
  EXPECT_FALSE(is({}, true));
  EXPECT_TRUE(is({{"etag", "\"a\""}, {"content-length", "10"}}, true));
  EXPECT_FALSE(is({{"etag", "\"a\""}, {"content-length", "11"}}, true));
  const auto weak = stored({{"etag", "W/\"a\""}});
  EXPECT_FALSE(is_of(*weak, headers({{"etag", "\"a\""}}), false));  // a strong one needs a strong one
  const auto coded = stored({{"etag", "W/\"a\""}, {"last-modified", at(kNow - 5)}});
  EXPECT_TRUE(is_of(*coded, headers({{"etag", "\"a\""}, {"last-modified", at(kNow - 5)}}), false));
  EXPECT_FALSE(is_of(*coded, headers({{"etag", "\"b\""}, {"last-modified", at(kNow - 5)}}), false));
  EXPECT_FALSE(is_of(*coded, headers({{"etag", "\"a\""}, {"last-modified", at(kNow - 4)}}), false));
  const auto just_now = stored({{"etag", "W/\"a\""}, {"last-modified", at(kNow)}});
  EXPECT_FALSE(is_of(*just_now, headers({{"etag", "\"a\""}, {"last-modified", at(kNow)}}), false));
}

TEST_F(OriginRules, MergeNewerFieldsButNotThoseOfTheBody) {
  const auto made =
      stored({{"etag", "\"a\""}, {"x-one", "1"}, {"x-two", "1"}, {"x-two", "2"}, {"content-encoding", "a"}});
  Headers merged{arena_};
  merge(*made, headers({{"X-Two", "3"}, {"Content-Encoding", "b"}, {"Content-Length", "1"}, {"Age", "4"}}), merged);
  std::string text;
  for (auto& [name, value] : merged) text.append(name).append("=").append(value).append(";");
  EXPECT_EQ(text, "etag=\"a\";x-one=1;content-encoding=a;X-Two=3;Age=4;");
}

TEST_F(OriginRules, KeepAWeakTagThatAStrongOneHasConfirmed) {
  const auto made = stored({{"etag", "W/\"a\""}, {"last-modified", at(kNow - 5)}});
  Headers merged{arena_};
  merge(*made, headers({{"ETag", "\"a\""}}), merged);
  EXPECT_EQ(merged.joined("etag"), "W/\"a\"");
  Headers other{arena_};
  merge(*made, headers({{"ETag", "\"b\""}}), other);
  EXPECT_EQ(other.joined("etag"), "\"b\"");
}

TEST_F(OriginRules, ReadVaryAsASetOfNames) {
  EXPECT_EQ(*vary_of(headers({{"vary", "B, a,, b"}, {"vary", "A"}}), {}), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(vary_of(headers({{"vary", "a"}, {"vary", "*"}}), {}));
  EXPECT_FALSE(vary_of(headers({{"vary", "a, X-Forwarded-For"}}), {}));
  EXPECT_TRUE(vary_of(headers({{"vary", "Accept-Encoding"}}), {.any_coding = true})->empty());
}

TEST_F(OriginRules, TellVariantsApartByMeaning) {
  const auto key = [&](Fields request) {
    std::string text;
    put_variant(text, {"a", "b"}, headers(request));
    return text;
  };
  EXPECT_EQ(key({{"a", "1, 2"}}), key({{"a", "1 ,2"}}));
  EXPECT_EQ(key({{"a", "1,2"}}), key({{"a", "1"}, {"a", "2"}}));
  EXPECT_NE(key({{"a", "1"}}), key({{"b", "1"}}));
  EXPECT_NE(key({}), key({{"a", ""}}));
  EXPECT_NE(key({{"a", "\"x, y\""}}), key({{"a", "\"x,y\""}}));
  EXPECT_NE(key({{"a", "x y"}}), key({{"a", "xy"}}));
  EXPECT_NE(key({{"a", "1"}}), key({{"a", "2"}}));
  EXPECT_EQ(key({{"A", "1"}}), key({{"a", "1"}}));
}

TEST_F(OriginRules, TellVariantsApartByEverySpellingOfAName) {
  const auto key = [&](Fields request) {
    std::string text;
    put_variant(text, {"accept-language", "x-tenant"}, headers(request));
    return text;
  };
  const auto plain = key({{"accept-language", "en"}});
  for (const std::string_view other : {"Accept_Language", "accept.language", "ACCEPT_LANGUAGE"}) {
    EXPECT_NE(key({{"accept-language", "en"}, {other, "xx"}}), plain) << other;
    EXPECT_NE(key({{other, "xx"}}), key({})) << other;
    EXPECT_NE(key({{other, "xx"}}), key({{other, "yy"}})) << other;
  }
  EXPECT_EQ(key({{"accept-language", "en"}, {"accept_languages", "xx"}}), plain);
}

TEST_F(OriginRules, CutOneRangeOutOfAStoredBody) {
  const auto is = [&](std::string_view range, Part::Kind kind, std::uint64_t first, std::uint64_t length) {
    const auto got = part({{"range", range}});
    EXPECT_EQ(got.kind, kind) << range;
    EXPECT_EQ(got.first, first) << range;
    EXPECT_EQ(got.length, length) << range;
  };
  is("bytes=0-0", Part::part, 0, 1);
  is("BYTES= 2 - 4 ", Part::part, 2, 3);
  is("bytes=9-", Part::part, 9, 1);
  is("bytes=-3", Part::part, 7, 3);
  is("bytes=-30", Part::part, 0, 10);
  is("bytes=5-99999999999999999999999", Part::part, 5, 5);
  is("bytes=10-", Part::none, 0, 0);
  is("bytes=-0", Part::none, 0, 0);
  for (auto whole :
       {"bytes=4-2", "bytes=", "bytes=-", "bytes=1-2,3-4", "bytes=a-", "bytes=1-b", "bytes=--1", "lines=1-2", "bytes"})
    is(whole, Part::whole, 0, 0);
  EXPECT_EQ(part({{"range", "bytes=0-1"}, {"if-range", "\"a\""}}).kind, Part::part);
  EXPECT_EQ(part({{"range", "bytes=0-1"}, {"if-range", "\"b\""}}).kind, Part::whole);
  // `Date` is no validator for a range.
  EXPECT_EQ(part({{"range", "bytes=0-1"}, {"if-range", at(kNow)}}).kind, Part::whole);
}

TEST_F(OriginRules, FindThePathsThatWereChanged) {
  using Paths = std::vector<std::string>;
  EXPECT_EQ(changed("/a", {}), (Paths{"/a"}));
  EXPECT_EQ(changed("/a", {{"location", "/b?x#y"}}), (Paths{"/a", "/b"}));
  EXPECT_EQ(changed("/a", {{"location", "https://SHOP.example:8443/b"}, {"content-location", "/c"}}),
            (Paths{"/a", "/b", "/c"}));
  EXPECT_EQ(changed("/a", {{"location", "//shop.example:8443"}}), (Paths{"/a", "/"}));
  for (auto other : {"http://shop.example:8443/b", "https://shop.example/b", "//other/b", "mailto:b", ""})
    EXPECT_EQ(changed("/a", {{"location", other}}), (Paths{"/a"})) << other;
  EXPECT_EQ(changed("/a/b/c", {{"location", "../d/./e"}}), (Paths{"/a/b/c", "/a/d/e"}));
  EXPECT_EQ(changed("/a/b/", {{"location", "c:d/e"}}), (Paths{"/a/b/"}));
  EXPECT_EQ(changed("/a", {{"location", "/../../b/.."}}), (Paths{"/a", "/"}));
}

TEST_F(OriginRules, ReadGroupsAsAListOfStrings) {
  using Groups = std::vector<std::string>;
  EXPECT_EQ(groups_of(R"("a", "b c";x=1 , "d\"e")"), (Groups{"a", "b c", "d\"e"}));
  for (auto wrong : {"a", "\"a", "\"a\",", "\"a\" \"b\"", "\"a\", b", "\"a\\", "\"\x01\""})
    EXPECT_EQ(groups_of(wrong), Groups{}) << wrong;
  EXPECT_EQ(groups_of(""), Groups{});
}

TEST(OriginRulesCorpus, HoldsForWhatIsKeptAndWhatIsLikeIt) {
  std::vector<std::string> kept;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/fuzz/origin_rules_fuzz")) {
    std::ifstream input(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << input.rdbuf();
    kept.push_back(text.str());
    EXPECT_EQ(rules_fault(kept.back()), "") << entry.path();
  }
  ASSERT_GE(kept.size(), 3u);
  const auto* said = std::getenv("PLIMSOLL_SEED");
  const auto seed = said ? static_cast<unsigned>(std::strtoul(said, nullptr, 10)) : std::random_device{}();
  SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  constexpr std::string_view kWords[] = {"\n",     "\n\n", "\"", ",", "=",        ";",         " ",
                                         "*",      "0",    "-",  "a", "no-store", "max-age=9", "public",
                                         "bytes=", "..",   "/",  ":", "\t",       "\x80"};
  for (int i = 0; i < 5000; ++i) {
    auto text = kept[below(kept.size())];
    for (std::size_t n = 1 + below(6); n > 0; --n) {
      const auto at = below(text.size() + 1);
      if (below(2))
        text.insert(at, kWords[below(std::size(kWords))]);
      else
        text.erase(at, 1 + below(8));
    }
    const auto fault = rules_fault(text);
    ASSERT_EQ(fault, "") << text;
  }
}

// A private cache is of one user (RFC 9111, section 3): what is said to shared ones is not for it.
TEST_F(OriginRules, OfAPrivateCache) {
  constexpr Rules kPrivate{.shared = false};
  const auto lifetime = [&](Fields response) {
    const auto made = stored(response, 200, {}, kPrivate);
    return made ? made->lifetime : -1;
  };
  EXPECT_EQ(lifetime({{"cache-control", "private, max-age=60"}}), 60);
  EXPECT_EQ(lifetime({{"cache-control", "max-age=60, s-maxage=5"}}), 60);
  EXPECT_EQ(lifetime({{"cache-control", "s-maxage=60"}}), -1);
  EXPECT_EQ(lifetime({{"cache-control", "max-age=60"}, {"cdn-cache-control", "max-age=5"}}), 60);
  EXPECT_EQ(lifetime({{"cache-control", "no-store"}}), -1);
  EXPECT_EQ(lifetime({{"cache-control", "max-age=60"}, {"vary", "*"}}), -1);
  EXPECT_TRUE(stored({{"cache-control", "max-age=60"}}, 200, {{"authorization", "a"}}, kPrivate, true));
  const auto stale = stored({{"cache-control", "max-age=5, proxy-revalidate, s-maxage=5"}}, 200, {}, kPrivate);
  EXPECT_TRUE(may_be_stale(*stale));
  EXPECT_FALSE(may_be_stale(*stored({{"cache-control", "max-age=5, must-revalidate"}}, 200, {}, kPrivate)));
  EXPECT_EQ(use(stale, 8, {{"cache-control", "max-stale=10"}}), Reuse::fresh);
}

TEST_F(OriginRules, AllFieldsTellUsersApart) {
  const auto text = [&](Fields request) {
    std::string key;
    put_all_fields(key, headers(request));
    return key;
  };
  const auto one = text({{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(text({{"B", "2"}, {"A", "1"}}), one);
  EXPECT_EQ(text({{"a", "1"}, {"b", "2"}, {"traceparent", "x"}, {"if-none-match", "x"}, {"cache-control", "x"}}), one);
  for (Fields other : std::initializer_list<Fields>{{{"a", "1"}},
                                                    {{"a", "2"}, {"b", "1"}},
                                                    {{"a", "1"}, {"b", "2"}, {"c", ""}},
                                                    {{"a", "1"}, {"a", "1"}, {"b", "2"}},
                                                    {{"a", "1b2"}},
                                                    {}})
    EXPECT_NE(text(other), one);
  EXPECT_NE(text({{"a", "1"}, {"a", "2"}}), text({{"a", "2"}, {"a", "1"}})) << "the lines of a field have an order";
}

}  // namespace
}  // namespace plimsoll::http::origin
