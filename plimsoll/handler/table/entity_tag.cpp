#include "plimsoll/handler/table/entity_tag.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/keyed_hash.hpp"

#include <cstring>

namespace plimsoll::table {

EntityTags::EntityTags(std::string_view secret) {
  const auto digest = sha256({"entity tags", secret});
  std::memcpy(&key_, digest.data(), sizeof key_);
}

EntityTag EntityTags::of(std::string_view representation, std::string_view tenant,
                         std::string_view unseen) const noexcept {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  auto key = tenant.empty() ? key_ : content_hash(tenant, key_).low;
  if (!unseen.empty()) key = content_hash(unseen, ~key).low;
  const auto hash = content_hash(representation, key);
  EntityTag tag;
  auto* at = tag.text_.data();
  *at++ = '"';
  for (auto half : {hash.high, hash.low})
    for (int i = 0; i < 11; ++i, half >>= 6) *at++ = kDigits[half & 63];  // 11 times 6 bits hold 64
  *at = '"';
  return tag;
}

}  // namespace plimsoll::table
