#include "plimsoll/http/client_address.hpp"

#include "plimsoll/base/hash.hpp"

#include <arpa/inet.h>
#include <algorithm>
#include <charconv>
#include <cstring>

namespace plimsoll {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::optional<Address> Address::parse(std::string_view text) {
  text = text.substr(0, text.find('%'));
  char terminated[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof terminated || text.contains('\0')) return std::nullopt;
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = 0;
  Address made;
  if (text.contains(':')) {
    if (::inet_pton(AF_INET6, terminated, made.bytes.data()) != 1) return std::nullopt;
  } else {
    std::ranges::copy(kMapped, made.bytes.begin());
    if (::inet_pton(AF_INET, terminated, made.bytes.data() + kMapped.size()) != 1) return std::nullopt;
  }
  return made;
}

bool Address::is_v4() const { return std::equal(kMapped.begin(), kMapped.end(), bytes.begin()); }

std::uint64_t site_key(std::string_view text) noexcept {
  const auto address = Address::parse(text);
  const auto key = hash64(address ? address->site() : text);
  return key ? key : 1;
}

Result<Networks> Networks::parse(std::span<const std::string> networks) {
  Networks made;
  for (const auto& text : networks) {
    if (text == "unix") {
      made.unix_ = true;
      continue;
    }
    const auto slash = std::string_view(text).find('/');
    const auto address = Address::parse(std::string_view(text).substr(0, slash));
    if (!address) return fail(kBadNetwork, "\"" + text + "\" is not an address or network");
    const unsigned most = text.contains(':') ? 128 : 32;
    unsigned bits = most;
    if (slash != std::string_view::npos) {
      const auto* end = text.data() + text.size();
      const auto [at, error] = std::from_chars(text.data() + slash + 1, end, bits);
      if (error != std::errc{} || at != end || bits > most)
        return fail(kBadNetwork, "\"" + text + "\" has no prefix length between 0 and " + std::to_string(most));
    }
    made.networks_.push_back({*address, bits + 128 - most});
  }
  return made;
}

bool Networks::contains(std::string_view text) const {
  if (text == "unix") return unix_;
  if (networks_.empty()) return false;
  const auto address = Address::parse(text);
  return address && std::ranges::any_of(networks_, [&](const Network& network) {
           const auto whole = network.bits / 8, rest = network.bits % 8;
           if (std::memcmp(address->bytes.data(), network.address.bytes.data(), whole) != 0) return false;
           return rest == 0 || ((address->bytes[whole] ^ network.address.bytes[whole]) >> (8 - rest)) == 0;
         });
}

}  // namespace plimsoll
