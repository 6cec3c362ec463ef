#pragma once

#include "plimsoll/net/transport.hpp"

struct ssl_ctx_st;

namespace plimsoll::net {

/// OpenSSL directly on the descriptor: no second buffer, no copy. Keeps `context` alive.
std::unique_ptr<Transport> tls_transport(Loop& loop, int socket, ssl_ctx_st* context);

}  // namespace plimsoll::net
