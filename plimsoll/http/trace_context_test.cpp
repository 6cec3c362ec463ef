#include "plimsoll/http/trace_context.hpp"

#include <gtest/gtest.h>

#include <string>

namespace plimsoll::http {
namespace {

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c", kParent = "b7ad6b7169203331";

std::string parent(std::string_view version = "00", std::string_view flags = "01", std::string_view more = {}) {
  return std::string(version) + "-" + kTrace + "-" + kParent + "-" + std::string(flags) + std::string(more);
}

TEST(TraceContext, ReadsTheIdsAndTheFlagsThatAreKnown) {
  const auto text = parent();
  const auto read = read_traceparent(text);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->trace_id, kTrace);
  EXPECT_EQ(read->parent_id, kParent);
  for (const auto& [flags, sampled, random] : {std::tuple{"00", false, false},
                                               {"01", true, false},
                                               {"02", false, true},
                                               {"03", true, true},
                                               {"ff", true, true},
                                               {"fc", false, false},
                                               {"0a", false, true}}) {
    const auto each = read_traceparent(parent("00", flags));
    ASSERT_TRUE(each) << flags;
    EXPECT_EQ(each->sampled, sampled) << flags;
    EXPECT_EQ(each->random, random) << flags;
  }
}

TEST(TraceContext, ALaterVersionMayHaveMoreBehindADash) {
  EXPECT_TRUE(read_traceparent(parent("01")));
  EXPECT_TRUE(read_traceparent(parent("cc", "01", "-what-the-future-will-be-like")));
  EXPECT_FALSE(read_traceparent(parent("cc", "01", ".what-the-future-will-be-like")));
  EXPECT_FALSE(read_traceparent(parent("00", "01", "-what-the-future-will-be-like")));
  EXPECT_FALSE(read_traceparent(parent("ff")));
}

TEST(TraceContext, WhatIsNotValidIsNoParent) {
  const auto good = parent();
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(read_traceparent(good.substr(0, size))) << size;
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const char wrong : {'.', 'G', 'A', ' ', '_'}) {
      auto text = good;
      text[at] = wrong;
      EXPECT_FALSE(read_traceparent(text)) << text;
    }
  EXPECT_FALSE(read_traceparent(good + "0"));
  EXPECT_FALSE(read_traceparent("00-" + std::string(32, '0') + "-" + kParent + "-01"));
  EXPECT_FALSE(read_traceparent("00-" + kTrace + "-" + std::string(16, '0') + "-01"));
}

TEST(TraceContext, MembersOfTheStateAreKeysAndValues) {
  for (const std::string good : {"foo=1", "foo=1,bar=2", "foo=1 \t , \t bar=2", "foo=1,,bar=2,", "0a=1", "a_-*/@b=1",
                                 "foo@=1", "foo=a b", "foo=!\"#$%&'()*+-./:;<>?@[]^_`{|}~", "foo=1,foo=1"})
    EXPECT_TRUE(is_tracestate(good)) << good;
  for (const std::string wrong : {"", " ", ",", "foo", "=1", "foo=", "foo=1,bar", "FOO=1", "foo =1", "foo.bar=1",
                                  "@foo=1", "_a=1", "foo=bar=baz", "foo=\x01", "foo=\xe9", "foo=a\tb"})
    EXPECT_FALSE(is_tracestate(wrong)) << wrong;
}

TEST(TraceContext, TheStateIsBounded) {
  std::string most;
  for (int i = 0; i < 32; ++i) most += (i ? "," : "") + std::string("k") + std::to_string(i) + "=1";
  EXPECT_TRUE(is_tracestate(most));
  EXPECT_TRUE(is_tracestate(most + ", ,"));
  EXPECT_FALSE(is_tracestate(most + ",one=more"));
  EXPECT_TRUE(is_tracestate(std::string(256, 'k') + "=" + std::string(256, 'v')));
  EXPECT_FALSE(is_tracestate(std::string(257, 'k') + "=v"));
  EXPECT_FALSE(is_tracestate("k=" + std::string(257, 'v')));
}

}  // namespace
}  // namespace plimsoll::http
