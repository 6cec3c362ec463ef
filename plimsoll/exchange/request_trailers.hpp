#pragma once

#include "plimsoll/http/message.hpp"

#include <span>

namespace plimsoll {

/// Fields behind the body of the request (RFC 9110, section 6.5): noted in the exchange by the edge when the body has
/// ended, where there are any. Names in lower case; they live as long as the exchange.
struct RequestTrailers {
  std::span<const Header> fields;
};

}  // namespace plimsoll
