// The corpora of the fuzz targets, replayed; and the plain reading held against the written cases.

#include "plimsoll/http/h1_plain.hpp"
#include "plimsoll/http/h1_refused_cases.hpp"
#include "plimsoll/http/h1_served_cases.hpp"
#include "plimsoll/http/h2_check.hpp"
#include "plimsoll/http/h2_client_check.hpp"
#include "plimsoll/http/headers_check.hpp"
#include "plimsoll/http/hpack_check.hpp"
#include "plimsoll/http/multipart_check.hpp"
#include "plimsoll/http/proxy_protocol_check.hpp"
#include "plimsoll/http/target_check.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace plimsoll {
namespace {

template <class Check>
void replay(const std::string& target, Check check) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/fuzz/" + target)) {
    std::ifstream in(entry.path(), std::ios::binary);
    std::stringstream bytes;
    bytes << in.rdbuf();
    EXPECT_EQ(check(bytes.str()), "") << entry.path();
    ++count;
  }
  EXPECT_GT(count, 0u) << target;
}

TEST(Corpus, Http1) {
  replay("h1_fuzz", [](const std::string& bytes) { return h1::disagreement(bytes); });
}
TEST(Corpus, Target) {
  replay("target_fuzz", [](const std::string& bytes) { return target_fault(bytes); });
}
TEST(Corpus, Http2) {
  replay("h2_fuzz", [](const std::string& bytes) { return http::h2_fault(bytes); });
}
TEST(Corpus, Http2Client) {
  replay("h2_client_fuzz", [](const std::string& bytes) { return http::h2_client_fault(bytes); });
}
TEST(Corpus, Hpack) {
  replay("hpack_fuzz", [](const std::string& bytes) { return http::hpack_disagreement(bytes); });
}
TEST(Corpus, Multipart) {
  replay("multipart_fuzz", [](const std::string& bytes) { return http::multipart_fault(bytes); });
}
TEST(Corpus, HeaderValues) {
  replay("headers_fuzz", [](const std::string& bytes) { return http::headers_fault(bytes); });
}
TEST(Corpus, ProxyProtocol) {
  replay("proxy_protocol_fuzz", [](const std::string& bytes) { return proxy_header_fault(bytes); });
}

TEST(Http1Machine, AgreesWithAPlainReadingOfTheRfcOnEveryCase) {
  for (const auto& each : h1::refused_cases())
    if (each.bytes.size() <= 8192 && !each.name.starts_with("head/"))
      EXPECT_EQ(h1::disagreement(each.bytes), "") << each.name;
  for (const auto& each : h1::served_cases()) EXPECT_EQ(h1::disagreement(each.bytes), "") << each.name;
}

}  // namespace
}  // namespace plimsoll
