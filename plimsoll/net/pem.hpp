#pragma once

#include <openssl/types.h>

#include <expected>
#include <string>
#include <string_view>

namespace plimsoll::net {

/// Certificates and keys are given as PEM text, or as paths of files of it.
bool is_pem(std::string_view text);
/// What is given, as errors call it: the path, never the text.
std::string name_of_pem(const std::string& source);
/// The text, read where a path was given. Error: why it cannot be read.
std::expected<std::string, std::string> pem_text(const std::string& source);

/// What a side shows of itself: its certificate with what follows it there, and the key. False: OpenSSL's errors say
/// why. A key behind a passphrase is none: it would make the start wait for a terminal.
bool use_chain(SSL_CTX* context, const std::string& source);
bool use_key(SSL_CTX* context, const std::string& source);
/// The authorities that sign the other side's certificate: a file of them.
bool use_authorities(SSL_CTX* context, const std::string& file);

}  // namespace plimsoll::net
