// Tokens and keys: nobody guesses a signature, no token outlives its end, a key survives being written, and what a key
// signs it verifies, and nothing else.

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/policy/authentication/jwt.hpp"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace plimsoll;

const policy::Jwk& key() {
  static const auto made = policy::Jwk::of_secret(std::string(64, 's')).value();
  return made;
}

policy::Jwk again(const policy::Jwk& key, bool with_private) {
  Arena arena;
  const auto text = key.to_json(with_private);
  const auto value = json::parse(text, arena);
  if (!value) std::abort();
  auto read = policy::Jwk::parse(*value);
  if (!read) std::abort();
  return std::move(*read);
}

void use(const policy::Jwk& key) {
  const auto copy = again(key, true);
  if (copy.can_sign() != key.can_sign() || copy.to_json(true) != again(copy, true).to_json(true)) std::abort();
  const auto algorithm = key.algorithm();
  if (!algorithm) return;
  if (key.verify(*algorithm, "message", std::string(64, '\0'))) std::abort();
  const auto signature = key.sign(*algorithm, "message");
  if (!signature) return;
  const bool shared = *algorithm >= policy::Algorithm::hs256;
  const auto& by = shared ? copy : again(key, false);
  if (!by.verify(*algorithm, "message", *signature)) {
    if (key.verify(*algorithm, "message", *signature)) std::abort();
    return;  // its private part is another key's
  }
  auto wrong = *signature;
  wrong[wrong.size() / 2] = static_cast<char>(wrong[wrong.size() / 2] ^ 1);
  if (by.verify(*algorithm, "message", wrong) || by.verify(*algorithm, "massage", *signature) ||
      by.verify(*algorithm, "message", signature->substr(1)))
    std::abort();
}

}  // namespace

/// A token as it stands; and, so that claims are reached at all, the same bytes as claims under a right signature, and
/// as a key or a set of keys.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr Nanoseconds kNow = 1'900'000'000 * kSecond;
  const policy::JwtRules rules{.issuer = "us", .audience = {"shop"}};
  Arena arena;
  if (policy::verify_jwt(text, std::span(&key(), 1), rules, kNow, arena)) std::abort();
  if (const auto token = policy::issue_jwt(key(), text)) {
    const auto jwt = policy::verify_jwt(*token, std::span(&key(), 1), rules, kNow, arena);
    if (jwt && jwt->expires + rules.leeway <= kNow) std::abort();
  }
  if (const auto value = json::parse(text, arena))
    if (const auto set = policy::parse_jwk_set(*value))
      for (const auto& each : set->keys) use(each);
  return 0;
}
