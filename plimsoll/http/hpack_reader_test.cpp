#include "plimsoll/http/hpack_reader.hpp"

#include "plimsoll/http/hpack_check.hpp"
#include "plimsoll/http/hpack_writer.hpp"
#include "plimsoll/http/huffman.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

namespace plimsoll::http {
namespace {

std::mt19937 chance() {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  return std::mt19937{seed};
}

/// nghttp2's encoder, which uses Huffman codes and the table as browsers do.
class Encoder {
 public:
  explicit Encoder(std::size_t table = 4096) { nghttp2_hd_deflate_new(&deflater_, table); }
  ~Encoder() { nghttp2_hd_deflate_del(deflater_); }
  Encoder(const Encoder&) = delete;
  void table(std::size_t bytes) { nghttp2_hd_deflate_change_table_size(deflater_, bytes); }
  std::string write(const FieldList& fields, bool secret = false) {
    std::vector<nghttp2_nv> nvs;
    for (const auto& [name, value] : fields) {
      auto bytes = [](const std::string& of) { return reinterpret_cast<std::uint8_t*>(const_cast<char*>(of.data())); };
      nvs.push_back({bytes(name), bytes(value), name.size(), value.size(),
                     std::uint8_t(secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE)});
    }
    std::string out(nghttp2_hd_deflate_bound(deflater_, nvs.data(), nvs.size()), '\0');
    const auto size = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<std::uint8_t*>(out.data()), out.size(),
                                            nvs.data(), nvs.size());
    out.resize(static_cast<std::size_t>(size));
    return out;
  }

 private:
  nghttp2_hd_deflater* deflater_ = nullptr;
};

FieldList some_fields(std::mt19937& random) {
  static const FieldList kUsual{
      {":method", "GET"},
      {":method", "DELETE"},
      {":path", "/"},
      {":path", "/items?limit=20&cursor=abc"},
      {":authority", "api.example.com:8443"},
      {"accept", "application/json, */*;q=0.5"},
      {"accept-encoding", "gzip, deflate"},
      {"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
      {"cookie", "session=8f3a; theme=dark"},
      {"authorization", "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxMjMifQ.c2ln"},
      {"if-none-match", "\"1f732cd6a4c272e443e71cfa4de9ef8a\""},
      {"content-length", "1024"}};
  FieldList fields;
  for (auto count = random() % 12; count > 0; --count) {
    if (random() % 3) {
      fields.push_back(kUsual[random() % kUsual.size()]);
      continue;
    }
    std::string name = "x-" + std::string(1 + random() % 9, static_cast<char>('a' + random() % 26)), value;
    for (auto size = random() % (random() % 20 ? 60 : 3000); value.size() < size;)
      value += static_cast<char>(random() % (random() % 8 ? 95 : 256) + (random() % 8 ? 32 : 0));
    fields.emplace_back(name, value);
  }
  return fields;
}

TEST(HpackReader, ReadsWhatOthersWrite) {
  auto random = chance();
  Encoder encoder;
  HpackReader reader;
  JudgeOfBlocks judge;
  for (int i = 0; i < 3'000; ++i) {
    if (random() % 50 == 0) encoder.table(random() % 4097);
    const auto fields = some_fields(random);
    const auto block = encoder.write(fields, random() % 5 == 0);
    FieldList ours, theirs;
    ASSERT_TRUE(read_block(reader, block, ours)) << i;
    ASSERT_EQ(ours, fields) << i;
    ASSERT_TRUE(judge.read(block, theirs)) << i;
  }
}

TEST(HpackReader, ReadsWhatOurWriterWrites) {
  auto random = chance();
  HpackWriter writer;
  HpackReader reader;
  for (int i = 0; i < 2'000; ++i) {
    auto fields = some_fields(random);
    std::string block;
    writer.begin(block);
    for (const auto& [name, value] : fields) writer.field(name, value, block);
    FieldList ours;
    ASSERT_TRUE(read_block(reader, block, ours)) << i;
    ASSERT_EQ(ours, fields) << i;
  }
}

TEST(HpackReader, EveryEntryOfTheStaticTableIsThere) {
  for (unsigned index = 0; index < 64; ++index) {
    const std::string block(1, static_cast<char>(0x80 | index));
    EXPECT_EQ(hpack_disagreement(std::string("\0\1", 2) + block), "") << index;
  }
}

TEST(HpackReader, EveryCharacterIsDecoded) {
  for (int length : {1, 2, 3, 7}) {
    for (int symbol = 0; symbol < 256; ++symbol) {
      Encoder encoder;
      HpackReader reader;
      // Between characters of short codes, so that nghttp2 finds the Huffman code worth its while.
      const FieldList fields{
          {"a", std::string(40, 'e') + std::string(static_cast<std::size_t>(length), static_cast<char>(symbol))}};
      FieldList ours;
      ASSERT_TRUE(read_block(reader, encoder.write(fields), ours)) << symbol;
      ASSERT_EQ(ours, fields) << symbol;
    }
  }
}

TEST(HpackReader, AgreesWithNghttp2OnDamagedBlocks) {
  auto random = chance();
  int refused = 0, taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    Encoder encoder;
    std::string input;
    for (int blocks = 0; blocks < 3; ++blocks) {
      auto block = encoder.write(some_fields(random));
      for (auto damage = random() % 3; damage > 0 && !block.empty(); --damage) {
        const auto at = random() % block.size();
        switch (random() % 4) {
          case 0: block[at] = static_cast<char>(random()); break;
          case 1: block.erase(at, 1 + random() % 3); break;
          case 2: block.insert(at, 1, static_cast<char>(random())); break;
          default: block[at] = static_cast<char>(block[at] ^ (1 << random() % 8)); break;
        }
      }
      input += {static_cast<char>(block.size() >> 8), static_cast<char>(block.size())};
      input += block;
    }
    ASSERT_EQ(hpack_disagreement(input), "") << i;
    FieldList fields;
    HpackReader reader;
    ++(read_block(reader, std::string_view(input).substr(2), fields) ? taken : refused);
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(taken, 100);
}

TEST(HpackReader, AgreesWithNghttp2OnAnyShortBlock) {
  for (unsigned first = 0; first < 256; ++first)
    for (unsigned second = 0; second < 256; ++second)
      for (const unsigned third : {0x00u, 0x01u, 0x1fu, 0x3eu, 0x7fu, 0x80u, 0x82u, 0xbeu, 0xffu}) {
        const std::string block{static_cast<char>(first), static_cast<char>(second), static_cast<char>(third)};
        ASSERT_EQ(hpack_disagreement(std::string("\0\3", 2) + block), "") << first << " " << second << " " << third;
      }
}

TEST(HpackReader, NumbersEndWhereTheyMust) {
  // 32 bits, one more; leading zeros up to as many bytes as 32 bits take, and one more.
  for (const std::string& number : {std::string("\xff\x80\xff\xff\xff\x0f"), std::string("\xff\x81\xff\xff\xff\x0f"),
                                    std::string("\xff\xff\xff\xff\xff\xff"), std::string("\x82\xff\x80\x80\x80\x80"),
                                    std::string("\x5f\x80\x80\x80\x80", 5) + std::string(1, '\0') + "\1b\1c",
                                    std::string("\x5f\x80\x80\x80\x80\x80", 6) + std::string(1, '\0') + "\1b\1c"}) {
    const std::string size{static_cast<char>(0), static_cast<char>(number.size())};
    EXPECT_EQ(hpack_disagreement(size + number), "") << testing::PrintToString(number);
  }
}

TEST(HpackReader, ATableSizeStandsAtTheBeginningOfABlock) {
  HpackReader reader;
  FieldList fields;
  EXPECT_TRUE(read_block(reader, "\x20\x3f\xe1\x1f\x82", fields));  // 0, 4096, then a field
  EXPECT_FALSE(read_block(reader, "\x82\x20", fields));             // behind a field
  HpackReader another;
  EXPECT_FALSE(read_block(another, "\x3f\xe2\x1f", fields));  // 4097: more than was told
}

TEST(HpackReader, FieldsOutliveTheEntriesThatTheirBlockDroveOut) {
  HpackReader reader;
  std::string block;
  FieldList fields;
  for (char c :
       {'a', 'b', 'c', 'd', 'e'}) {  // each fills most of the table; the name of the next is that of the one before
    const bool first = c == 'a';
    const std::string value(3000, c);
    block += first ? std::string("\x40\x01n", 3) : std::string("\x7e");
    block += std::string("\x7f\xb9\x16") + value;
    fields.emplace_back("n", value);
  }
  FieldList ours;
  ASSERT_TRUE(read_block(reader, block, ours));
  EXPECT_EQ(ours, fields);
}

TEST(HpackReader, SaysWhatAFieldIs) {
  const auto read = [](std::string_view name, std::string_view value) {
    std::string block("\0", 1);
    for (auto text : {name, value}) block.append(1, static_cast<char>(text.size())).append(text);
    HpackReader reader;
    HpackReader::Field field;
    reader.begin(block);
    EXPECT_EQ(reader.next(field), HpackReader::Step::field);
    return std::pair{field.kind, field.sound};
  };
  using enum FieldKind;
  EXPECT_EQ(read(":path", "/a"), (std::pair{path, true}));
  EXPECT_EQ(read(":paths", "/a"), (std::pair{unknown_pseudo, false}));
  EXPECT_EQ(read(":method", "G T"), (std::pair{method, false}));
  EXPECT_EQ(read(":scheme", "ftp"), (std::pair{scheme, false}));
  EXPECT_EQ(read("host", "a:b"), (std::pair{host, false}));
  EXPECT_EQ(read("te", "Trailers"), (std::pair{te, true}));
  EXPECT_EQ(read("te", "gzip"), (std::pair{te, false}));
  EXPECT_EQ(read("keep-alive", "x"), (std::pair{connection_specific, false}));
  EXPECT_EQ(read("content-length", "12"), (std::pair{content_length, true}));
  EXPECT_EQ(read("content-length", "-1"), (std::pair{content_length, false}));
  EXPECT_EQ(read("x-a", "b c"), (std::pair{plain, true}));
  EXPECT_EQ(read("x-a", " b"), (std::pair{plain, false}));
  EXPECT_EQ(read("X-a", "b"), (std::pair{plain, false}));
  EXPECT_EQ(read("", "b"), (std::pair{plain, false}));
}

TEST(Huffman, PaddingIsOnesAndLessThanAByte) {
  char out[16];
  EXPECT_EQ(huffman_decode("", out), out);
  EXPECT_EQ(huffman_decode("\x1f", out), out + 1);  // 'a' is 00011
  EXPECT_EQ(out[0], 'a');
  EXPECT_FALSE(huffman_decode("\x1e", out));              // a zero in it
  EXPECT_FALSE(huffman_decode("\x1f\xff", out));          // a byte too long
  EXPECT_FALSE(huffman_decode("\xff", out));              // and alone
  EXPECT_FALSE(huffman_decode("\xff\xff\xff\xff", out));  // the end-of-string symbol
}

}  // namespace
}  // namespace plimsoll::http
