#include "plimsoll/policy/position_token.hpp"

#include "plimsoll/base/encoding.hpp"

#include <gtest/gtest.h>

namespace plimsoll::policy {
namespace {

TEST(PositionToken, CarriesAPositionForWhoHasTheKey) {
  const PositionToken one{"key", "7300000000000000001"}, same{"key", "7300000000000000001"};
  for (const database::Position position :
       {database::Position{1}, database::Position{0x16B374D848}, ~database::Position{0}}) {
    const auto token = one.write(position);
    EXPECT_EQ(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), token.npos);
    EXPECT_EQ(same.read(token), position);
  }
}

TEST(PositionToken, IsNothingForAnotherKeyOrCluster) {
  const PositionToken one{"key", "7300000000000000001"};
  const auto token = one.write(0x16B374D848);
  EXPECT_EQ((PositionToken{"key", "7300000000000000002"}.read(token)), 0u);
  EXPECT_EQ((PositionToken{"kez", "7300000000000000001"}.read(token)), 0u);
  EXPECT_EQ(PositionToken{}.read(token), 0u);
}

TEST(PositionToken, IsNothingWhereABitIsChangedOrMissing) {
  const PositionToken one{"key", "7300000000000000001"};
  const auto token = one.write(0x16B374D848);
  const auto bytes = *from_base64url(token);
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    auto changed = bytes;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
    EXPECT_EQ(one.read(to_base64url(changed)), 0u) << i;
  }
  for (std::size_t size = 0; size < token.size(); ++size) EXPECT_EQ(one.read(token.substr(0, size)), 0u) << size;
  for (const auto* other : {"", "0/16B374D848", "\xff\xfe", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
    EXPECT_EQ(one.read(other), 0u) << other;
  EXPECT_EQ(one.read(token + "A"), 0u);
}

}  // namespace
}  // namespace plimsoll::policy
