#include "plimsoll/policy/jwt.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/json/parse.hpp"

#include <cstdint>

namespace {

using namespace plimsoll;

const policy::Jwk& key() {
  static const auto made = policy::Jwk::of_secret(std::string(64, 's')).value();
  return made;
}

}  // namespace

/// A token as it stands; and, so that claims are reached at all, the same bytes as claims under a right signature, and
/// as a key.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr Nanoseconds kNow = 1'900'000'000 * kSecond;
  const policy::JwtRules rules{.issuer = "us", .audience = {"shop"}};
  Arena arena;
  if (policy::verify_jwt(text, std::span(&key(), 1), rules, kNow, arena))
    __builtin_trap();  // nobody guesses a signature
  if (const auto token = policy::issue_jwt(key(), text)) {
    const auto jwt = policy::verify_jwt(*token, std::span(&key(), 1), rules, kNow, arena);
    if (jwt && jwt->expires + rules.leeway <= kNow) __builtin_trap();
  }
  if (const auto value = json::parse(text, arena))
    if (const auto set = policy::parse_jwk_set(*value))
      for (const auto& each : set->keys) (void)each.to_json(true);
  return 0;
}
