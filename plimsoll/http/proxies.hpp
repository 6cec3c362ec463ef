#pragma once

#include "plimsoll/http/client_address.hpp"
#include "plimsoll/http/message.hpp"

#include <string_view>

namespace plimsoll {

/// What a chain of trusted proxies says of the client.
struct Client {
  std::string_view address;  ///< the first from the right that is no trusted proxy
  std::string_view scheme;   ///< `http` or `https` as the nearest proxy saw it; empty: not said
};

/// The client behind `peer`, read from the right: each address is believed as long as the one that reported it is
/// trusted (RFC 7239, section 8.1). `forwarded`: the fields are Forwarded (RFC 7239), else X-Forwarded-For and
/// X-Forwarded-Proto; of the other kind nothing is believed, because a proxy that does not write it passes on what a
/// client wrote.
Client client_behind(std::string_view peer, const Headers& headers, const Networks& trusted, bool forwarded);

}  // namespace plimsoll
