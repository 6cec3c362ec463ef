#pragma once

#include "plimsoll/client/url.hpp"
#include "plimsoll/config/options.hpp"

namespace plimsoll::config {

/// Whether servers beyond this machine may be called without TLS.
enum class PlainHttp : std::uint8_t { refused, allowed };
template <>
struct Words<PlainHttp> {
  static constexpr std::string_view words[] = {"refused", "allowed"};
};

}  // namespace plimsoll::config

namespace plimsoll::client {

/// What is to be written in place of what is no URL of a server.
inline constexpr std::string_view kWriteUrl =
    "Write https://NAME, https://NAME:PORT or, for a server on this machine, http://127.0.0.1:PORT; a path may follow.";
/// `parse_url` of what a deployment writes at that place; a server beyond this machine is called with TLS, unless
/// `plain_http` allows the other. `what`: whose URL it is, such as "the token server"; `remedy`: what to write to allow
/// it. Error: `configuration`, with the place and what to write.
Result<Url> configured_url(const json::Value& at, std::string_view text, std::string_view what,
                           config::PlainHttp plain_http, std::string_view remedy = {});

}  // namespace plimsoll::client
