#include "plimsoll/net/tls_client.hpp"

#include "plimsoll/net/pem.hpp"
#include "plimsoll/net/tls.hpp"
#include "plimsoll/net/tls_transport.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <atomic>

namespace plimsoll::net {
namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

class Client final : public TlsClient {
 public:
  Client(std::unique_ptr<SSL_CTX, FreeContext> context, bool named) : context_(std::move(context)), named_(named) {}
  std::unique_ptr<Transport> transport(Loop& loop, int socket, const std::string& host,
                                       std::string_view protocols) override {
    return tls_client_transport(loop, socket, context_.get(), host, protocols, named_);
  }
  std::uint64_t number() const noexcept override { return number_; }

 private:
  static inline std::atomic<std::uint64_t> loaded{0};
  const std::unique_ptr<SSL_CTX, FreeContext> context_;
  const bool named_;
  const std::uint64_t number_ = ++loaded;
};

std::unexpected<Error> cannot(const std::string& what, std::string_view why) {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  auto detail = what + ": " + std::string(why) + " (" + (reason ? reason : "unknown fault") + ")";
  ERR_clear_error();
  return fail(kTls, std::move(detail));
}

}  // namespace

Result<std::shared_ptr<TlsClient>> TlsClient::load(const TlsClientOptions& options) {
  ERR_clear_error();
  std::unique_ptr<SSL_CTX, FreeContext> context{SSL_CTX_new(TLS_client_method())};
  auto* c = context.get();
  if (!c) return fail(kTls, "no memory");
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(c, 1);
  SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(c, options.verify == TlsVerify::nothing ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  const auto& file = options.authorities;
  if (options.verify != TlsVerify::nothing &&
      !(file.empty() ? SSL_CTX_set_default_verify_paths(c) == 1 : use_authorities(c, file)))
    return cannot(file.empty() ? "the system's authorities" : file, "no authority could be read");
  if (!options.certificate.empty()) {
    if (!use_chain(c, options.certificate))
      return cannot(name_of_pem(options.certificate), "no certificate could be read");
    const auto& key = options.key.empty() ? options.certificate : options.key;
    if (!use_key(c, key))
      return cannot(name_of_pem(key), "no key could be read that fits the certificate, or it has a password");
  }
  return std::make_shared<Client>(std::move(context), options.verify == TlsVerify::name);
}

}  // namespace plimsoll::net
