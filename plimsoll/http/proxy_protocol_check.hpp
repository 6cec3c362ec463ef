#pragma once

// For tests and fuzzing: what must hold for any bytes that begin a connection.

#include "plimsoll/http/client_address.hpp"
#include "plimsoll/http/proxy_protocol.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

/// What does not hold; empty: all holds.
inline std::string proxy_header_fault(std::string_view bytes) {
  using State = ProxyHeader::State;
  const auto whole = read_proxy_header(bytes);
  if (whole.state == State::complete) {
    if (whole.size == 0 || whole.size > bytes.size() || whole.size > kProxyHeaderLimit) return "the size is wrong";
    if (whole.known && whole.address != "unix" && !Address::parse(whole.address)) return "the address is none";
    if (whole.address.contains('\0')) return "the address holds a NUL";
    if (!whole.known && !whole.address.empty()) return "an unknown client has an address";
    // A copy that ends where the header does: what is read behind it would be noticed.
    const std::vector<char> copy(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(whole.size));
    if (read_proxy_header({copy.data(), copy.size()}).port != whole.port) return "what follows a header changes it";
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto part = read_proxy_header(bytes.substr(0, size));
    if (part.state == State::refused && whole.state != State::refused) return "what is refused in part is taken whole";
    if (part.state == State::complete && (whole.state != State::complete || part.size != whole.size))
      return "what follows a header changes it";
    if (whole.state == State::complete && size < whole.size && part.state != State::incomplete)
      return "a part of a header is taken for a header";
  }
  return {};
}

}  // namespace plimsoll
