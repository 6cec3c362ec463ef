#include "plimsoll/http/client_address.hpp"

#include "plimsoll/http/proxies.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

Networks trust(std::vector<std::string> networks) { return Networks::parse(networks).value(); }

struct Asked {
  Arena arena;
  Request request{.headers = Headers{arena}};
  Asked(std::string_view peer, std::initializer_list<Header> headers) {
    request.peer.address = peer;
    for (auto header : headers) request.headers.add(header.name, header.value);
  }
};

std::string client(std::string_view peer, std::initializer_list<Header> headers, const Networks& trusted) {
  const Asked asked(peer, headers);
  const auto& fields = asked.request.headers;
  return std::string{client_behind(peer, fields, trusted, fields.contains("forwarded")).address};
}

TEST(ClientAddress, AnUntrustedPeersWordIsNeverTaken) {
  EXPECT_EQ(client("203.0.113.9", {{"x-forwarded-for", "1.1.1.1"}}, {}), "203.0.113.9");
  EXPECT_EQ(client("203.0.113.9", {{"forwarded", "for=1.1.1.1"}}, trust({"10.0.0.0/8"})), "203.0.113.9");
}

TEST(ClientAddress, CountsFromTheRightPastTrustedProxies) {
  const auto trusted = trust({"10.0.0.0/8", "fd00::/8"});
  EXPECT_EQ(client("10.0.0.1", {{"x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.2.3.4"}}, trusted), "198.51.100.7");
  EXPECT_EQ(
      client("10.0.0.1", {{"x-forwarded-for", "6.6.6.6, 198.51.100.7"}, {"x-forwarded-for", "10.2.3.4"}}, trusted),
      "198.51.100.7");
  EXPECT_EQ(client("fd00::1", {{"x-forwarded-for", "2001:db8::7"}}, trusted), "2001:db8::7");
}

TEST(ClientAddress, ReadsForwardedInAllItsSpellingsAndPrefersIt) {
  const auto trusted = trust({"10.0.0.1"});
  EXPECT_EQ(client("10.0.0.1", {{"forwarded", "proto=https;For=\"[2001:db8::1]:4711\";by=x"}}, trusted), "2001:db8::1");
  EXPECT_EQ(client("10.0.0.1", {{"forwarded", "for=192.0.2.1:80"}, {"x-forwarded-for", "6.6.6.6"}}, trusted),
            "192.0.2.1");
}

TEST(ClientAddress, WhatIsHiddenOrNonsenseEndsTheWalk) {
  const auto trusted = trust({"10.0.0.0/8"});
  EXPECT_EQ(client("10.0.0.1", {{"forwarded", "for=192.0.2.1, for=unknown, for=10.0.0.2"}}, trusted), "10.0.0.2");
  EXPECT_EQ(client("10.0.0.1", {{"x-forwarded-for", ""}}, trusted), "10.0.0.1");
  EXPECT_EQ(client("10.0.0.1", {{"x-forwarded-for", "192.0.2.1, ,,10.0.0.2"}}, trusted), "10.0.0.2");
}

TEST(ClientAddress, AllTrustedGivesTheFarthest) {
  EXPECT_EQ(client("10.0.0.1", {{"x-forwarded-for", "10.0.0.3, 10.0.0.2"}}, trust({"10.0.0.0/8"})), "10.0.0.3");
}

TEST(ClientAddress, AUnixSocketIsTrustedWhenSaid) {
  EXPECT_EQ(client("unix", {{"x-forwarded-for", "192.0.2.1"}}, {}), "unix");
  EXPECT_EQ(client("unix", {{"x-forwarded-for", "192.0.2.1"}}, trust({"unix"})), "192.0.2.1");
}

TEST(ClientAddress, NetworksMatchByTheBit) {
  const auto trusted = trust({"172.16.0.0/12", "2001:db8:8000::/33"});
  EXPECT_TRUE(trusted.contains("172.31.255.255"));
  EXPECT_TRUE(trusted.contains("::ffff:172.16.0.1"));
  EXPECT_FALSE(trusted.contains("172.32.0.0"));
  EXPECT_TRUE(trusted.contains("2001:db8:ffff::1"));
  EXPECT_FALSE(trusted.contains("2001:db8:7fff::1"));
}

TEST(ClientAddress, RefusesWhatIsNoNetwork) {
  for (const std::string bad : {"10.0.0.0/33", "10.0.0", "::/129", "10.0.0.0/", "proxy", "10.0.0.0/8x"})
    EXPECT_FALSE(Networks::parse(std::span(&bad, 1))) << bad;
}

TEST(ClientAddress, ASiteIsAnIpv4AddressOrAnIpv6By64) {
  EXPECT_EQ(Address::parse("2001:db8::1")->site(), Address::parse("2001:db8::ffff:1")->site());
  EXPECT_NE(Address::parse("2001:db8::1")->site(), Address::parse("2001:db8:0:1::1")->site());
  EXPECT_EQ(Address::parse("192.0.2.1")->site(), Address::parse("::ffff:192.0.2.1")->site());
  EXPECT_NE(Address::parse("192.0.2.1")->site(), Address::parse("192.0.2.2")->site());
}

}  // namespace
}  // namespace plimsoll
