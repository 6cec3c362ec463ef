#pragma once

#include "plimsoll/config/options.hpp"

namespace plimsoll::client {

/// Which versions of HTTP a service is called with.
enum class HttpVersions : std::uint8_t {
  one,        ///< HTTP/1.1
  two,        ///< HTTP/2; in clear by prior knowledge
  negotiated  ///< over TLS what ALPN agrees on, HTTP/2 first; in clear HTTP/1.1
};

}  // namespace plimsoll::client

namespace plimsoll::config {

/// `1`, `2` or `auto`.
template <>
struct Form<client::HttpVersions> {
  static constexpr std::string_view schema = R"("enum":[1,2,"auto"])";
  static Result<client::HttpVersions> read(const json::Value& from);
  static std::string show(client::HttpVersions value);
};

}  // namespace plimsoll::config
