#include "plimsoll/base/sha1.hpp"

#include <openssl/evp.h>
#include <new>

namespace plimsoll {

std::array<std::uint8_t, 20> sha1(std::string_view data) {
  std::array<std::uint8_t, 20> digest;
  unsigned size = 0;
  // Over memory it fails for want of memory alone.
  if (EVP_Digest(data.data(), data.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1) throw std::bad_alloc();
  return digest;
}

}  // namespace plimsoll
