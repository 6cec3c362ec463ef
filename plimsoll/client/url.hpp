#pragma once

#include "plimsoll/base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll::client {

inline constexpr Problem kBadUrl{"bad-url", 400, "The URL is not an http or https URL", "Correct the URL."};

/// Where a call goes.
struct Url {
  bool tls = false;
  std::string host;  ///< name or address, IPv6 without brackets
  std::uint16_t port = 0;
  std::string authority;  ///< as `Host` says it
  std::string target;     ///< path and query
};
/// Whether it begins as one of http or https does, in any case (RFC 3986, section 3.1).
bool is_http(std::string_view text);
/// `http://host[:port]/path?query`, or https. No user info, no fragment. Error: `bad-url`.
Result<Url> parse_url(std::string_view text);
/// Whether what it names is reached without leaving this machine.
bool is_local(const Url& url);

}  // namespace plimsoll::client
