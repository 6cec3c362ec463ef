#include "plimsoll/http/proxies.hpp"

#include "plimsoll/http/proxy_protocol.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

using namespace std::string_literals;

Networks networks(std::vector<std::string> texts) {
  auto read = Networks::parse(texts);
  EXPECT_TRUE(read);
  return read.value_or(Networks{});
}

struct Behind {
  Client of(std::string_view peer, std::initializer_list<Header> fields, bool forwarded = false) {
    Headers headers{arena};
    for (const auto& field : fields) headers.add(field.name, field.value);
    return client_behind(peer, headers, trusted, forwarded);
  }
  Arena arena;
  Networks trusted = networks({"10.0.0.0/8", "unix", "fd00::/8"});
};

TEST(Proxies, AnUntrustedPeerIsBelievedNothing) {
  Behind behind;
  const auto client = behind.of("192.0.2.1", {{"x-forwarded-for", "1.1.1.1"}, {"x-forwarded-proto", "https"}});
  EXPECT_EQ(client.address, "192.0.2.1");
  EXPECT_EQ(client.scheme, "");
}

TEST(Proxies, TheFirstFromTheRightThatIsNotTrustedIsTheClient) {
  Behind behind;
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-for", "6.6.6.6, 192.0.2.9, 10.0.0.2"}}).address, "192.0.2.9");
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-for", "6.6.6.6"}, {"x-forwarded-for", "192.0.2.9"}}).address,
            "192.0.2.9");
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-for", "10.0.0.3, 10.0.0.2"}}).address, "10.0.0.3");
  EXPECT_EQ(behind.of("unix", {{"x-forwarded-for", "192.0.2.9:4711"}}).address, "192.0.2.9");
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-for", "[2001:db8::1]:80"}}).address, "2001:db8::1");
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-for", "2001:db8::1"}}).address, "2001:db8::1");
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-for", "6.6.6.6, unknown"}}).address, "10.0.0.1");
  EXPECT_EQ(behind.of("10.0.0.1", {}).address, "10.0.0.1");
}

TEST(Proxies, ForwardedIsReadWhenItIsTheOneThatIsWritten) {
  Behind behind;
  const auto client = behind.of(
      "10.0.0.1",
      {{"forwarded", R"(for=6.6.6.6, for="[2001:db8::9]:1,", for="[2001:db8::7]:4711";proto=https;by=10.0.0.1)"}},
      true);
  EXPECT_EQ(client.address, "2001:db8::7");
  EXPECT_EQ(client.scheme, "https");
  EXPECT_EQ(behind.of("10.0.0.1", {{"forwarded", "For=192.0.2.43;Proto=http"}}, true).address, "192.0.2.43");
  EXPECT_EQ(behind.of("10.0.0.1", {{"forwarded", "for=_hidden"}}, true).address, "10.0.0.1");
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-for", "6.6.6.6"}}, true).address, "10.0.0.1");
  EXPECT_EQ(behind.of("10.0.0.1", {{"forwarded", "for=6.6.6.6"}}, false).address, "10.0.0.1");
}

TEST(Proxies, TheSchemeIsTheNearestProxys) {
  Behind behind;
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-proto", "https"}}).scheme, "https");
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-proto", "http, https"}}).scheme, "https");
  EXPECT_EQ(behind.of("10.0.0.1", {{"x-forwarded-proto", "gopher"}}).scheme, "");
}

using State = ProxyHeader::State;

void expect_the_same_in_all_cuts(const std::string& bytes) {
  const auto whole = read_proxy_header(bytes);
  ASSERT_EQ(whole.state, State::complete) << whole.problem;
  for (std::size_t size = 0; size < whole.size; ++size)
    EXPECT_EQ(read_proxy_header(std::string_view(bytes).substr(0, size)).state, State::incomplete) << size;
}

TEST(ProxyProtocol, ReadsVersionOne) {
  const auto v4 = read_proxy_header("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET /");
  EXPECT_EQ(v4.state, State::complete);
  EXPECT_EQ(v4.address, "192.0.2.1");
  EXPECT_EQ(v4.port, 56324);
  EXPECT_EQ(v4.size, 45u);
  const auto v6 = read_proxy_header("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n");
  EXPECT_EQ(v6.address, "2001:db8::1");
  const auto unknown = read_proxy_header("PROXY UNKNOWN ffff::1 whatever\r\n");
  EXPECT_EQ(unknown.state, State::complete);
  EXPECT_FALSE(unknown.known);
  expect_the_same_in_all_cuts("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n");
}

std::string binary(char command, char family, const std::string& rest) {
  return "\r\n\r\n\0\r\nQUIT\n"s + command + family + static_cast<char>(rest.size() >> 8) +
         static_cast<char>(rest.size()) + rest;
}

TEST(ProxyProtocol, ReadsVersionTwo) {
  const auto addresses = "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb"s;
  const auto v4 = read_proxy_header(binary('\x21', '\x11', addresses + "\x03\x00\x04value"s));
  EXPECT_EQ(v4.state, State::complete) << v4.problem;
  EXPECT_EQ(v4.address, "192.0.2.1");
  EXPECT_EQ(v4.port, 56324);
  expect_the_same_in_all_cuts(binary('\x21', '\x11', addresses));
  const auto v6 = read_proxy_header(binary('\x21', '\x21', std::string(15, 0) + "\1" + std::string(20, 0)));
  EXPECT_EQ(v6.address, "::1");
  const auto local = read_proxy_header(binary('\x20', '\0', ""));
  EXPECT_EQ(local.state, State::complete);
  EXPECT_FALSE(local.known);
}

TEST(ProxyProtocol, RefusesWhatIsNone) {
  for (const auto& bytes : {"GET / HTTP/1.1\r\n"s,
                            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"s,
                            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"s,
                            "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"s,
                            "PROXY TCP4 ::1 ::1 1 2\r\n"s,
                            "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"s,
                            "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"s,
                            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n"s,
                            "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"s,
                            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"s,
                            "PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"s,
                            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"s,
                            "PROXY UNKNOWNX\r\n"s,
                            "PROXY TCP4 "s + std::string(200, '1'),
                            binary('\x31', '\x11', std::string(12, 0)),
                            binary('\x22', '\x11', std::string(12, 0)),
                            binary('\x21', '\x11', std::string(11, 0)),
                            binary('\x21', '\x21', std::string(35, 0)),
                            binary('\x21', '\x12', std::string(12, 0)),
                            binary('\x21', '\x11', std::string(5000, 0))})
    EXPECT_EQ(read_proxy_header(bytes).state, State::refused) << bytes.substr(0, 60);
}

}  // namespace
}  // namespace plimsoll
