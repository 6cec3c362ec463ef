#include "plimsoll/base/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>
#include <cerrno>
#include <new>
#include <system_error>

namespace plimsoll {
namespace {

// Fetched once: EVP_sha256() looks the provider's implementation up at every use.
const EVP_MD* algorithm() {
  static const EVP_MD* const fetched = [] {
    const EVP_MD* made = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return made ? made : throw std::bad_alloc();
  }();
  return fetched;
}

void must(int outcome) {
  if (outcome != 1) throw std::bad_alloc();  // the only way in which a digest over memory can fail
}

DigestContext make() {
  DigestContext made(EVP_MD_CTX_new());
  if (!made) throw std::bad_alloc();
  return made;
}

EVP_MD_CTX* of_this_thread() {
  thread_local const DigestContext context = make();
  return context.get();
}

Digest finish(EVP_MD_CTX* context) {
  Digest digest;
  unsigned size = 0;
  must(EVP_DigestFinal_ex(context, digest.data(), &size));
  return digest;
}

}  // namespace

void DigestContextEnd::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }

Digest sha256(std::string_view data) { return sha256({data}); }

Digest sha256(std::initializer_list<std::string_view> parts) {
  auto* context = of_this_thread();
  must(EVP_DigestInit_ex2(context, algorithm(), nullptr));
  for (auto part : parts) must(EVP_DigestUpdate(context, part.data(), part.size()));
  return finish(context);
}

Sha256::Sha256() : context_(make()) { must(EVP_DigestInit_ex2(context_.get(), algorithm(), nullptr)); }

void Sha256::update(std::string_view data) { must(EVP_DigestUpdate(context_.get(), data.data(), data.size())); }

Digest Sha256::finish() {
  const auto digest = plimsoll::finish(context_.get());
  must(EVP_DigestInit_ex2(context_.get(), algorithm(), nullptr));
  return digest;
}

HmacKey::HmacKey(std::string_view key) : inner_(make()), outer_(make()) {
  constexpr std::size_t kBlock = 64;
  Digest shortened;
  if (key.size() > kBlock) {
    shortened = sha256(key);
    key = as_text(shortened);
  }
  const auto begin = [&](EVP_MD_CTX* context, std::uint8_t pad) {
    std::array<std::uint8_t, kBlock> block;
    block.fill(pad);
    for (std::size_t i = 0; i < key.size(); ++i) block[i] ^= static_cast<std::uint8_t>(key[i]);
    must(EVP_DigestInit_ex2(context, algorithm(), nullptr));
    must(EVP_DigestUpdate(context, block.data(), block.size()));
    OPENSSL_cleanse(block.data(), block.size());
  };
  begin(inner_.get(), 0x36);
  begin(outer_.get(), 0x5c);
}

Digest HmacKey::sign(std::initializer_list<std::string_view> parts) const {
  auto* context = of_this_thread();
  must(EVP_MD_CTX_copy_ex(context, inner_.get()));
  for (auto part : parts) must(EVP_DigestUpdate(context, part.data(), part.size()));
  const auto inner = finish(context);
  must(EVP_MD_CTX_copy_ex(context, outer_.get()));
  must(EVP_DigestUpdate(context, inner.data(), inner.size()));
  return finish(context);
}

bool HmacKey::verify(std::string_view data, std::string_view signature) const {
  return equal_in_constant_time(as_text(sign(data)), signature);
}

Digest hmac_sha256(std::string_view key, std::string_view data) { return HmacKey(key).sign(data); }

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void random_bytes(void* out, std::size_t size) {
  auto* at = static_cast<char*>(out);
  while (size > 0) {
    const auto got = ::getrandom(at, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw std::system_error(errno, std::generic_category(), "getrandom");
    at += got;
    size -= static_cast<std::size_t>(got);
  }
}

std::string random_bytes(std::size_t size) {
  std::string made(size, '\0');
  random_bytes(made.data(), size);
  return made;
}

}  // namespace plimsoll
