#pragma once

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/net/resolver.hpp"

#include <utility>

namespace plimsoll::net {

/// A socket that is closed by whoever holds it last.
using Socket = OwnedDescriptor;

struct DialOptions {
  /// After which the next address is tried beside the one that has not answered (RFC 8305, section 5).
  Nanoseconds attempt_delay = 250 * kMillisecond;
};

/// The order in which addresses are tried: families take turns, the family of the first begins (RFC 8305, section 4).
Addresses interleaved(Addresses addresses);

/// Connects to the first of `addresses` that answers (Happy Eyeballs, RFC 8305): one after another, the next one as
/// soon as the last has failed or `attempt_delay` has passed. The first connection wins, the others are closed. The
/// socket does not block. It has no time limit of its own: see `within`. Error: `network`.
Task<Result<Socket>> dial(Loop& loop, Addresses addresses, std::uint16_t port, DialOptions options = {});

}  // namespace plimsoll::net
