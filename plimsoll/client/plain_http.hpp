#pragma once

#include "plimsoll/config/options.hpp"

namespace plimsoll::config {

/// Whether servers beyond this machine may be called without TLS.
enum class PlainHttp : std::uint8_t { refused, allowed };
template <>
struct Words<PlainHttp> {
  static constexpr std::string_view words[] = {"refused", "allowed"};
};

}  // namespace plimsoll::config
