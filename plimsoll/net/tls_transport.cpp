#include "plimsoll/net/tls_transport.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/net/resolver.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <string>

namespace plimsoll::net {
namespace {

constexpr Problem kHandshake{"tls-handshake", 400, "The TLS handshake failed", "Use TLS 1.2 or 1.3."};

std::string subject_of(SSL* ssl) {
  auto* certificate = SSL_get0_peer_certificate(ssl);
  if (!certificate || SSL_get_verify_result(ssl) != X509_V_OK) return {};
  auto* memory = BIO_new(BIO_s_mem());
  if (!memory) return {};
  X509_NAME_print_ex(memory, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(memory, &text);
  std::string out(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  BIO_free(memory);
  return out;
}

/// The descriptor as OpenSSL's source and sink. A call that would find nothing is not made: a short read has emptied
/// the socket, and the next edge tells when it is not any more (epoll(7)).
struct Wire {
  static Descriptor& of(BIO* bio) { return *static_cast<Descriptor*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int size) {
    auto& from = of(bio);
    BIO_clear_retry_flags(bio);
    while (from.can_read()) {
      const auto n = ::recv(from.get(), into, static_cast<std::size_t>(size), 0);
      if (n > 0) {
        if (n < size) from.read_all();
        return static_cast<int>(n);
      }
      if (n == 0) return 0;
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
      from.read_all();
      if (from.can_read()) return 0;  // hung up with nothing left: an end, not a spin
    }
    BIO_set_retry_read(bio);
    return -1;
  }
  static int write(BIO* bio, const char* data, int size) {
    auto& to = of(bio);
    BIO_clear_retry_flags(bio);
    while (to.can_write()) {
      const auto n = ::send(to.get(), data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
      if (n >= 0) return static_cast<int>(n);
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
      to.write_full();
      if (to.can_write()) return -1;  // broken
    }
    BIO_set_retry_write(bio);
    return -1;
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static const BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      auto* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "descriptor");
      BIO_meth_set_read(m, read);
      BIO_meth_set_write(m, write);
      BIO_meth_set_ctrl(m, control);
      BIO_meth_set_create(m, [](BIO* bio) {
        BIO_set_init(bio, 1);
        return 1;
      });
      return m;
    }();
    return made;
  }
};

class Tls final : public Transport {
 public:
  Tls(Loop& loop, OwnedDescriptor& socket, SSL_CTX* context)
      : Transport(loop, socket.release()), ssl_(SSL_new(context)) {
    auto* wire = ssl_ ? BIO_new(Wire::method()) : nullptr;
    if (!wire) {
      SSL_free(ssl_);
      throw std::bad_alloc();
    }
    BIO_set_data(wire, &descriptor_);
    SSL_set_bio(ssl_, wire, wire);
    SSL_set_accept_state(ssl_);
  }
  Tls(Loop& loop, OwnedDescriptor& socket, SSL_CTX* context, const std::string& host, std::string_view protocols,
      bool named)
      : Tls(loop, socket, context) {
    SSL_set_connect_state(ssl_);
    if (SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(protocols.data()),
                            static_cast<unsigned>(protocols.size())) != 0)
      throw std::bad_alloc();
    SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // A literal address is no server name (RFC 6066, section 3).
    const bool literal = Address::parse(host).has_value();
    named_ = literal || SSL_set_tlsext_host_name(ssl_, host.c_str()) == 1;
    if (named)
      named_ &= literal ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str()) == 1
                        : SSL_set1_host(ssl_, host.c_str()) == 1;
  }
  ~Tls() override { SSL_free(ssl_); }

  Task<Result<>> open(Nanoseconds within) override {
    if (!named_) co_return handshake_failed("the server name cannot be used");
    const auto deadline = descriptor_.loop().now() + within;
    for (;;) {
      ERR_clear_error();
      const int result = SSL_do_handshake(ssl_);
      if (result == 1) break;
      const auto moved = after(result);
      if (moved.want == Want::nothing) co_return handshake_failed(why_);
      const auto left = deadline - descriptor_.loop().now();
      if (left <= 0) co_return std::unexpected(error_of(Stop::deadline));
      const auto woken = co_await wait(moved.want, left);
      if (woken == Wake::late) co_return std::unexpected(error_of(Stop::deadline));
      if (woken == Wake::stopped) {
        const Scope* scope = co_await this_scope();
        co_return std::unexpected(error_of(scope->stopped()));
      }
    }
    subject_ = subject_of(ssl_);
    co_return Result<>{};
  }

  Moved read(std::span<char> into) noexcept override {
    std::size_t size = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_, into.data(), into.size(), &size);
    if (result == 1) return {.bytes = size};
    return after(result);
  }

  Moved write(std::span<const iovec> pieces) noexcept override {
    // One record for what fits into one: a head and its short body leave together.
    char joined[kRecord];
    std::size_t size = 0;
    if (pieces.size() > 1 && pieces[0].iov_len < kRecord) {
      for (auto& piece : pieces) {
        const auto part = std::min(piece.iov_len, kRecord - size);
        if (part) std::memcpy(joined + size, piece.iov_base, part);  // an empty piece may have no address
        size += part;
        if (size == kRecord) break;
      }
      return write(joined, size);
    }
    for (auto& piece : pieces)
      if (piece.iov_len) return write(static_cast<const char*>(piece.iov_base), piece.iov_len);
    return {};
  }

  Moved send_file(int file, std::uint64_t offset, std::size_t size) noexcept override {
    char piece[kRecord];
    ssize_t n = 0;
    do n = ::pread(file, piece, std::min(size, kRecord), static_cast<off_t>(offset));
    while (n < 0 && errno == EINTR);
    if (n <= 0) return {.error = n < 0 ? errno : EIO};  // shorter than was said
    return write(piece, static_cast<std::size_t>(n));
  }

  void finish() noexcept override {
    ERR_clear_error();
    if (SSL_is_init_finished(ssl_) && !broken_) SSL_shutdown(ssl_);  // close_notify; the peer's is not waited for
    ERR_clear_error();
    ::shutdown(descriptor_.get(), SHUT_WR);
  }

  bool buffered() const noexcept override { return SSL_pending(ssl_) > 0; }
  std::string_view protocol() const noexcept override {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }
  bool secure() const noexcept override { return true; }
  std::string_view certificate_subject() const noexcept override { return subject_; }
  std::string server_end_point() const override {
    auto* certificate = SSL_is_server(ssl_) ? SSL_get_certificate(ssl_) : SSL_get0_peer_certificate(ssl_);
    int digest = NID_undef;
    if (!certificate || X509_get_signature_info(certificate, &digest, nullptr, nullptr, nullptr) != 1) return {};
    // MD5 and SHA-1 are replaced by SHA-256.
    const auto* with =
        digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbyname(OBJ_nid2sn(digest));
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (!with || X509_digest(certificate, with, hash, &size) != 1) return {};
    return {reinterpret_cast<const char*>(hash), size};
  }

 private:
  Result<> handshake_failed(std::string_view why) const {
    if (SSL_is_server(ssl_)) return fail(kHandshake, std::string(why));
    const auto verified = SSL_get_verify_result(ssl_);
    std::string detail = "TLS: ";
    detail += why;
    if (verified != X509_V_OK) detail.append(" (").append(X509_verify_cert_error_string(verified)).append(")");
    return fail(kNetwork, std::move(detail));
  }

  static constexpr std::size_t kRecord = 16 * 1024;  // RFC 8446, section 5.1

  Moved write(const char* data, std::size_t size) noexcept {
    std::size_t taken = 0;
    while (taken < size) {
      std::size_t part = 0;
      ERR_clear_error();
      const int result = SSL_write_ex(ssl_, data + taken, size - taken, &part);
      if (result == 1) {
        taken += part;
        continue;
      }
      const auto moved = after(result);
      if (taken > 0 && !moved.failed()) break;
      return moved;
    }
    return {.bytes = taken};
  }

  /// What a call that did not succeed is waiting for, or how it failed.
  Moved after(int result) noexcept {
    const int error = errno;
    switch (SSL_get_error(ssl_, result)) {
      case SSL_ERROR_WANT_READ: return {.want = Want::read};
      case SSL_ERROR_WANT_WRITE: return {.want = Want::write};
      case SSL_ERROR_ZERO_RETURN: return {.ended = true};
      case SSL_ERROR_SYSCALL: broken_ = true; return {.error = error ? error : ECONNRESET};
      default: {
        broken_ = true;
        const char* reason = ERR_reason_error_string(ERR_peek_error());
        why_ = reason ? reason : "fault of the protocol";
        ERR_clear_error();
        return {.error = EPROTO};
      }
    }
  }

  SSL* ssl_;
  bool broken_ = false;
  bool named_ = true;  ///< of a client: the name that is expected could be set
  std::string subject_;
  std::string_view why_ = "the connection broke";
};

}  // namespace

std::unique_ptr<Transport> tls_transport(Loop& loop, int socket, ssl_ctx_st* context) {
  OwnedDescriptor owned{socket};  // for want of memory a transport may not come to be
  return std::make_unique<Tls>(loop, owned, context);
}

std::unique_ptr<Transport> tls_client_transport(Loop& loop, int socket, ssl_ctx_st* context, const std::string& host,
                                                std::string_view protocols, bool named) {
  OwnedDescriptor owned{socket};  // for want of memory a transport may not come to be
  return std::make_unique<Tls>(loop, owned, context, host, protocols, named);
}

}  // namespace plimsoll::net
