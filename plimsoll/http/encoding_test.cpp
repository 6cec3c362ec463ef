#include "plimsoll/http/encoding.hpp"

#include <brotli/decode.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <random>
#include <string>

namespace plimsoll::http {
namespace {

/// What a receiver reads of `text` so far, without waiting for its end.
std::string decoded(Coding coding, std::string_view text) {
  std::string out(4 << 20, '\0');
  if (coding == Coding::gzip) {
    z_stream stream{};
    inflateInit2(&stream, 15 + 16);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    inflate(&stream, Z_SYNC_FLUSH);
    out.resize(stream.total_out);
    inflateEnd(&stream);
  } else if (coding == Coding::br) {
    auto* state = BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
    std::size_t in = text.size(), room = out.size(), total = 0;
    const auto* from = reinterpret_cast<const std::uint8_t*>(text.data());
    auto* to = reinterpret_cast<std::uint8_t*>(out.data());
    BrotliDecoderDecompressStream(state, &in, &from, &room, &to, &total);
    out.resize(total);
    BrotliDecoderDestroyInstance(state);
  } else {
    auto* context = ZSTD_createDCtx();
    ZSTD_inBuffer in{text.data(), text.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    while (in.pos < in.size && !ZSTD_isError(ZSTD_decompressStream(context, &to, &in))) {}
    out.resize(to.pos);
    ZSTD_freeDCtx(context);
  }
  return out;
}

constexpr Coding kAll[] = {Coding::gzip, Coding::br, Coding::zstd};

std::string rows(int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += R"({"id":)" + std::to_string(i) + R"(,"status":"paid","total":"9.90"},)";
  return out;
}

TEST(Encoding, AWholeBodyIsReadBack) {
  for (auto coding : kAll) {
    const auto body = rows(1000);
    std::string out;
    ASSERT_TRUE(compress(coding, plimsoll::as_bytes(body), out)) << name_of(coding);
    EXPECT_LT(out.size(), body.size() / 5);
    EXPECT_EQ(decoded(coding, out), body);
  }
}

TEST(Encoding, WhatDoesNotShrinkIsLeft) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  std::string noise(5000, '\0');
  for (auto& c : noise) c = static_cast<char>(random());
  std::string out;
  for (auto coding : kAll) {
    EXPECT_FALSE(compress(coding, plimsoll::as_bytes(noise), out)) << name_of(coding);
    EXPECT_FALSE(compress(coding, {}, out));
  }
}

TEST(Encoding, APieceCanBeReadBeforeTheNextComes) {
  for (auto coding : kAll) {
    SCOPED_TRACE(name_of(coding));
    const auto made = encoder(coding);
    ASSERT_TRUE(made);
    std::string sent, told;
    for (int i = 0; i < 50; ++i) {
      const auto piece = "data: " + std::to_string(i) + "\n\n";
      told += piece;
      ASSERT_TRUE(made->write(plimsoll::as_bytes(piece), sent));
      ASSERT_EQ(decoded(coding, sent), told);
    }
    ASSERT_TRUE(made->finish(sent));
    EXPECT_EQ(decoded(coding, sent), told);
  }
}

TEST(Encoding, ALargePieceGoesThrough) {
  for (auto coding : kAll) {
    const auto made = encoder(coding);
    const auto body = rows(50'000);
    std::string out;
    ASSERT_TRUE(made->write(plimsoll::as_bytes(body), out));
    ASSERT_TRUE(made->finish(out));
    EXPECT_TRUE(decoded(coding, out) == body) << name_of(coding);
  }
}

}  // namespace
}  // namespace plimsoll::http
