#include "plimsoll/base/digest.hpp"

#include "plimsoll/base/encoding.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(Digest, Sha256OfTheStandardsExamples) {
  EXPECT_EQ(to_hex(as_text(sha256(""))), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(to_hex(as_text(sha256("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, PartsAndPiecesGiveTheDigestOfTheWhole) {
  EXPECT_EQ(sha256({"a", "", "bc"}), sha256("abc"));
  Sha256 pieces;
  for (int round = 0; round < 2; ++round) {
    pieces.update("ab");
    pieces.update("c");
    EXPECT_EQ(pieces.finish(), sha256("abc"));
  }
}

// RFC 4231, test cases 1, 2 and 6.
TEST(Digest, HmacOfTheRfcsExamples) {
  EXPECT_EQ(to_hex(as_text(hmac_sha256(std::string(20, '\x0b'), "Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(as_text(hmac_sha256("Jefe", "what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(
      to_hex(as_text(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First"))),
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Digest, AnHmacKeySignsManyTimesAndVerifies) {
  const HmacKey key("secret");
  const auto signature = key.sign("payload");
  EXPECT_EQ(signature, key.sign({"pay", "load"}));
  EXPECT_TRUE(key.verify("payload", as_text(signature)));
  EXPECT_FALSE(key.verify("payloae", as_text(signature)));
  EXPECT_FALSE(key.verify("payload", as_text(signature).substr(1)));
}

TEST(Digest, ComparesByValue) {
  EXPECT_TRUE(equal_in_constant_time("same", "same"));
  EXPECT_FALSE(equal_in_constant_time("same", "sama"));
  EXPECT_FALSE(equal_in_constant_time("same", "sam"));
  EXPECT_TRUE(equal_in_constant_time("", ""));
}

TEST(Digest, RandomBytesDiffer) { EXPECT_NE(random_bytes(32), random_bytes(32)); }

}  // namespace
}  // namespace plimsoll
