#include "plimsoll/database/postgres_scram.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace plimsoll::database {
namespace {

void wipe(std::string& secret) { OPENSSL_cleanse(secret.data(), secret.size()); }

bool printable(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f && c != ','; });
}

/// Takes the attribute `name=` from the beginning of `text`; its value ends at a comma or the end.
bool take(std::string_view& text, char name, std::string_view& value) {
  if (text.size() < 2 || text[0] != name || text[1] != '=') return false;
  const auto end = std::min(text.find(','), text.size());
  value = text.substr(2, end - 2);
  text.remove_prefix(std::min(end + 1, text.size()));
  return true;
}

std::string md5_hex(std::string_view a, std::string_view b) {
  std::string joined(a);
  joined += b;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  const bool made = EVP_Digest(joined.data(), joined.size(), digest, &size, EVP_md5(), nullptr) == 1;
  wipe(joined);
  return made ? to_hex({reinterpret_cast<const char*>(digest), size}) : std::string{};
}

}  // namespace

PostgresScram::PostgresScram(std::string password, std::string nonce, Binding binding, std::string end_point,
                             std::string user)
    : password_(std::move(password)),
      nonce_(std::move(nonce)),
      end_point_(std::move(end_point)),
      user_(std::move(user)),
      binding_(binding) {}

PostgresScram::~PostgresScram() {
  wipe(password_);
  wipe(server_signature_);
}

std::string PostgresScram::header() const {
  switch (binding_) {
    case Binding::end_point: return "p=tls-server-end-point,,";
    case Binding::not_offered: return "y,,";
    default: return "n,,";
  }
}

std::string PostgresScram::first() const { return header() + bare(); }

std::string PostgresScram::answer(std::string_view server_first) {
  const auto refuse = [&](std::string_view why) {
    fault_ = why;
    return std::string{};
  };
  auto rest = server_first;
  std::string_view nonce, salt64, count;
  if (!take(rest, 'r', nonce) || !take(rest, 's', salt64) || !take(rest, 'i', count) || !rest.empty())
    return refuse("the server's first SCRAM message cannot be read");
  if (!printable(nonce) || !nonce.starts_with(nonce_) || nonce.size() == nonce_.size())
    return refuse("the nonce of the server's SCRAM message does not begin with ours");
  const auto salt = from_base64(salt64);
  if (!salt || salt->empty()) return refuse("the salt of the server's SCRAM message is not base64");
  int iterations = 0;
  const auto read = std::from_chars(count.data(), count.data() + count.size(), iterations);
  if (read.ec != std::errc{} || read.ptr != count.data() + count.size() || iterations < 1)
    return refuse("the iteration count of the server's SCRAM message is not a positive number");
  if (iterations > kMostIterations) return refuse("the server's SCRAM message asks for more than 1,000,000 iterations");

  Digest salted;
  if (PKCS5_PBKDF2_HMAC(password_.data(), static_cast<int>(password_.size()),
                        reinterpret_cast<const unsigned char*>(salt->data()), static_cast<int>(salt->size()),
                        iterations, EVP_sha256(), static_cast<int>(salted.size()), salted.data()) != 1)
    return refuse("PBKDF2 failed");
  auto client_key = hmac_sha256(as_text(salted), "Client Key");
  auto server_key = hmac_sha256(as_text(salted), "Server Key");
  OPENSSL_cleanse(salted.data(), salted.size());
  const auto without_proof =
      "c=" + to_base64(header() + (binding_ == Binding::end_point ? end_point_ : std::string{})) +
      ",r=" + std::string(nonce);
  const auto message = bare() + "," + std::string(server_first) + "," + without_proof;
  const auto signature = hmac_sha256(as_text(sha256(as_text(client_key))), message);
  for (std::size_t i = 0; i < client_key.size(); ++i) client_key[i] ^= signature[i];  // now the proof
  server_signature_ = as_text(hmac_sha256(as_text(server_key), message));
  OPENSSL_cleanse(server_key.data(), server_key.size());
  return without_proof + ",p=" + to_base64(as_text(client_key));
}

bool PostgresScram::verify(std::string_view server_final) {
  std::string_view value;
  auto rest = server_final;
  if (take(rest, 'e', value)) {
    fault_ = "the server has refused the SCRAM exchange";
    return false;
  }
  fault_ = "the server has not proved that it knows the password (SCRAM)";
  if (!take(rest, 'v', value) || !rest.empty() || server_signature_.empty()) return false;
  const auto signature = from_base64(value);
  if (!signature || !equal_in_constant_time(*signature, server_signature_)) return false;
  fault_ = {};
  return true;
}

std::string postgres_md5(std::string_view user, std::string_view password, std::string_view salt) {
  auto inner = md5_hex(password, user);
  if (inner.empty()) return {};
  const auto outer = md5_hex(inner, salt);
  wipe(inner);
  return outer.empty() ? outer : "md5" + outer;
}

}  // namespace plimsoll::database
