#include "plimsoll/policy/position_token.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"

#include <cstddef>

namespace plimsoll::policy {
namespace {

constexpr std::size_t kPosition = 8, kMac = 16;                  // bytes
constexpr std::size_t kText = ((kPosition + kMac) * 4 + 2) / 3;  ///< characters, without padding

}  // namespace

std::string PositionToken::mac_of(std::string_view position) const {
  const auto whole = hmac_sha256(key_, "plimsoll-after\n" + cluster_ + "\n" + std::string(position));
  return std::string(as_text(whole).substr(0, kMac));
}

std::string PositionToken::write(database::Position position) const {
  std::string bytes(kPosition, '\0');
  for (std::size_t i = 0; i < kPosition; ++i) bytes[i] = static_cast<char>(position >> (8 * (kPosition - 1 - i)));
  return to_base64url(bytes + mac_of(bytes));
}

database::Position PositionToken::read(std::string_view text) const {
  if (key_.empty() || text.size() != kText) return 0;
  const auto bytes = from_base64url(text);
  if (!bytes || bytes->size() != kPosition + kMac) return 0;
  const std::string_view all = *bytes;
  if (!equal_in_constant_time(all.substr(kPosition), mac_of(all.substr(0, kPosition)))) return 0;
  database::Position position = 0;
  for (std::size_t i = 0; i < kPosition; ++i) position = position << 8 | static_cast<unsigned char>(all[i]);
  return position;
}

}  // namespace plimsoll::policy
