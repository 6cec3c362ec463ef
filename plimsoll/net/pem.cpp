#include "plimsoll/net/pem.hpp"

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/base/read_file.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>

namespace plimsoll::net {
namespace {

template <auto release>
struct Freed {
  void operator()(auto* held) const { release(held); }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;

/// False: OpenSSL's errors say that it is no file.
bool is_file(const std::string& path) {
  if (opens_at_once(path)) return true;
  ERR_raise_data(ERR_LIB_USER, ERR_R_UNSUPPORTED, "%s is no file", path.c_str());
  return false;
}

Bio open_pem(const std::string& source) {
  if (is_pem(source)) return Bio{BIO_new_mem_buf(source.data(), static_cast<int>(source.size()))};
  if (!is_file(source)) return nullptr;
  return Bio{BIO_new_file(source.c_str(), "r")};
}

int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace

bool is_pem(std::string_view text) { return text.contains("-----BEGIN"); }

std::string name_of_pem(const std::string& source) { return is_pem(source) ? "the text given" : source; }

std::expected<std::string, std::string> pem_text(const std::string& source) {
  if (is_pem(source)) return source;
  if (!opens_at_once(source)) return std::unexpected(source + ": it is no file");
  auto text = read_file(source);
  if (!text) return std::unexpected(source + ": " + text.error().message());
  if (!is_pem(*text)) return std::unexpected(source + ": no PEM");
  return std::move(*text);
}

bool use_authorities(SSL_CTX* context, const std::string& file) {
  return is_file(file) && SSL_CTX_load_verify_file(context, file.c_str()) == 1;
}

bool use_chain(SSL_CTX* context, const std::string& source) {
  const auto from = open_pem(source);
  if (!from) return false;
  using X509Owner = std::unique_ptr<X509, Freed<X509_free>>;
  const X509Owner own{PEM_read_bio_X509_AUX(from.get(), nullptr, no_passphrase, nullptr)};
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) return false;
  while (X509Owner next{PEM_read_bio_X509(from.get(), nullptr, no_passphrase, nullptr)}) {
    if (SSL_CTX_add0_chain_cert(context, next.get()) != 1) return false;
    (void)next.release();
  }
  ERR_clear_error();  // the end of the text
  return true;
}

bool use_key(SSL_CTX* context, const std::string& source) {
  const auto from = open_pem(source);
  if (!from) return false;
  const std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>> key{
      PEM_read_bio_PrivateKey(from.get(), nullptr, no_passphrase, nullptr)};
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1;
}

}  // namespace plimsoll::net
