#pragma once

#include "plimsoll/net/transport.hpp"

#include <string>

struct ssl_ctx_st;

namespace plimsoll::net {

/// OpenSSL directly on the descriptor: no second buffer, no copy. Keeps `context` alive.
std::unique_ptr<Transport> tls_transport(Loop& loop, int socket, ssl_ctx_st* context);

/// The same for the side that connected: `host` is the name (or literal address) that was asked for. `named`: the
/// peer's certificate must have it. `protocols`: see `TlsClient::transport`.
std::unique_ptr<Transport> tls_client_transport(Loop& loop, int socket, ssl_ctx_st* context, const std::string& host,
                                                std::string_view protocols, bool named);

}  // namespace plimsoll::net
