#include "plimsoll/http/hpack_writer.hpp"

#include "plimsoll/http/hpack_check.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

namespace plimsoll::http {
namespace {

using Fields = FieldList;

/// The other end: nghttp2's decoder.
struct Reader : JudgeOfBlocks {
  using JudgeOfBlocks::read;
  Fields read(std::string_view block) {
    Fields out;
    if (!read(block, out)) return {{"broken", ""}};
    return out;
  }
};

std::string written(HpackWriter& writer, const Fields& fields) {
  std::string out;
  writer.begin(out);
  for (const auto& [name, value] : fields)
    if (name == ":status")
      writer.status(static_cast<std::uint16_t>(std::atoi(value.c_str())), out);
    else
      writer.field(name, value, out);
  return out;
}

Fields usual(int number) {
  return {{":status", "200"},
          {"content-type", "application/json"},
          {"cache-control", "private, no-cache"},
          {"x-request-id", std::to_string(number * 7919)},
          {"content-security-policy", "default-src 'none'; frame-ancestors 'none'"},
          {"x-frame-options", "DENY"},
          {"referrer-policy", "no-referrer"},
          {"ratelimit", "\"address\";r=" + std::to_string(1000 - number) + ";t=1"},
          {"vary", ""},
          {"date", "Fri, 20 Nov 2026 12:26:05 GMT"},
          {"content-length", "19"}};
}

TEST(HpackWriter, WhatStaysTheSameIsAByteAndWhatDoesNotStaysOutOfTheTable) {
  HpackWriter writer;
  Reader reader;
  std::string block;
  for (int i = 0; i < 200; ++i) {
    block = written(writer, usual(i));
    ASSERT_EQ(reader.read(block), usual(i)) << i;
  }
  // Nine fields of one byte; of two the name is one and the value is written out.
  EXPECT_EQ(block.size(), 9 + 2 + 1 + usual(199)[3].second.size() + 2 + 1 + usual(199)[7].second.size());
}

TEST(HpackWriter, FieldsThatStayAsTheyAreAreReadHoweverTheTableChanges) {
  HpackWriter writer;
  Reader reader;
  const Header lasting[] = {{"x-frame-options", "DENY"}, {"referrer-policy", "no-referrer"}, {"vary", "origin"}};
  const Header others[] = {{"x-frame-options", "DENY"}, {"server", "b"}};
  for (int i = 0; i < 500; ++i) {
    std::string block;
    Fields sent{{":status", "200"}};
    writer.begin(block);
    writer.status(200, block);
    const auto one = [&](const std::string& name, const std::string& value) {
      writer.field(name, value, block);
      sent.emplace_back(name, value);
    };
    if (i % 3 == 0) one("x-n", std::string(static_cast<std::size_t>(i % 7) * 150, 'n'));  // drives others out
    for (const auto& fields : {std::span<const Header>(lasting), std::span<const Header>(others)}) {
      writer.fields(fields.size(), fields, block);
      for (const auto& [name, value] : fields) sent.emplace_back(name, value);
    }
    one("date", std::to_string(i / 10));
    ASSERT_EQ(reader.read(block), sent) << i;
    if (i % 50 == 49) reader.allows(i % 100 == 99 ? 4096 : 120), writer.allow(i % 100 == 99 ? 4096 : 120);
  }
}

TEST(HpackWriter, SecretsAreNeverKept) {
  HpackWriter writer;
  Reader reader;
  const Fields fields{{":status", "201"}, {"set-cookie", "session=1"}};
  const auto first = written(writer, fields), second = written(writer, fields);
  EXPECT_EQ(first, second);
  EXPECT_EQ(static_cast<unsigned char>(first[5]) & 0xf0, 0x10);  // behind :status, a literal of five bytes
  EXPECT_EQ(reader.read(first), fields);
  EXPECT_EQ(reader.read(second), fields);
}

TEST(HpackWriter, TheTableIsAsSmallAsThePeerSays) {
  HpackWriter writer;
  Reader reader;
  for (const auto size : {4096u, 0u, 100u, 65536u, 300u}) {
    reader.allows(size);
    writer.allow(size);
    for (int i = 0; i < 30; ++i) ASSERT_EQ(reader.read(written(writer, usual(i))), usual(i)) << size;
  }
  // Down and up again between two blocks: the smallest is said too (RFC 7541, section 4.2).
  writer.allow(0);
  writer.allow(4096);
  const auto block = written(writer, usual(1));
  EXPECT_EQ(static_cast<unsigned char>(block[0]), 0x20);
  EXPECT_EQ(static_cast<unsigned char>(block[1]), 0x3f);
  reader.allows(0);
  reader.allows(4096);
  EXPECT_EQ(reader.read(block), usual(1));
}

TEST(HpackWriter, AnyFieldsAreReadAsTheyWereWritten) {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed));
  std::mt19937 random{seed};
  HpackWriter writer;
  Reader reader;
  for (int block = 0; block < 5'000; ++block) {
    Fields fields{{":status", std::to_string(100 + random() % 500)}};
    for (auto count = random() % (block % 50 == 0 ? 60 : 20); count > 0; --count) {
      std::string value(random() % 8 == 0 ? random() % 3000 : random() % 40, 'v');
      for (auto& c : value) c = static_cast<char>('a' + random() % (1 + random() % 3));
      fields.emplace_back("x-" + std::string(1 + random() % 3, static_cast<char>('a' + random() % 9)), value);
    }
    if (random() % 300 == 0) {
      const auto size = static_cast<std::uint32_t>(random() % 5000);
      reader.allows(size);
      writer.allow(size);
    }
    ASSERT_EQ(reader.read(written(writer, fields)), fields) << block;
  }
}

}  // namespace
}  // namespace plimsoll::http
