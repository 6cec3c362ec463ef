#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/client/plain_http.hpp"

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
/// What is to be written in place of what is no URL of a server.
inline constexpr std::string_view kWriteUrl =
    "Write https://NAME, https://NAME:PORT or, for a server on this machine, http://127.0.0.1:PORT; a path may follow.";
/// The same of what a deployment writes at that place; one beyond this machine is called with TLS, unless `plain_http`
/// allows the other. `what`: whose URL it is, such as "the token server"; `remedy`: what to write to allow it. Error:
/// `configuration`, with the place and what to write.
Result<Url> configured_url(const json::Value& at, std::string_view text, std::string_view what,
                           config::PlainHttp plain_http, std::string_view remedy = {});

}  // namespace plimsoll::client
