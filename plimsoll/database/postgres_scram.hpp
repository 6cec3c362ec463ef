#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll::database {

/// The client of SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL speaks it: a value that is given texts and gives
/// texts. The server proves that it knows the password as well.
class PostgresScram {
 public:
  /// How far the authentication is bound to the TLS connection below it.
  enum class Binding : std::uint8_t {
    impossible,   ///< this side cannot: `n`
    not_offered,  ///< this side could, the server did not offer it: `y`, by which the server sees a downgrade
    end_point,    ///< SCRAM-SHA-256-PLUS, by the hash of the server's certificate
  };
  /// `nonce`: random and printable, without a comma. `end_point`: that hash. `user`: PostgreSQL takes it from the
  /// startup message, and here it is empty (protocol, section 55.3.1).
  PostgresScram(std::string password, std::string nonce, Binding binding, std::string end_point, std::string user = {});
  ~PostgresScram();
  PostgresScram(PostgresScram&&) = default;
  PostgresScram& operator=(PostgresScram&&) = default;

  /// client-first-message
  std::string first() const;
  /// client-final-message for the server-first-message; empty: that one cannot be used, and `fault` says why.
  std::string answer(std::string_view server_first);
  /// Whether the server-final-message proves that the server knows the password.
  bool verify(std::string_view server_final);
  std::string_view fault() const noexcept { return fault_; }

  /// Beyond it a server could keep this thread for seconds; PostgreSQL's own is 4,096.
  static constexpr int kMostIterations = 1'000'000;

 private:
  std::string header() const;
  std::string bare() const { return "n=" + user_ + ",r=" + nonce_; }
  std::string password_, nonce_, end_point_, user_;
  Binding binding_;
  std::string server_signature_;
  std::string_view fault_;
};

/// The answer to a request for a password by MD5: `md5` and 32 hexadecimal digits. Empty: this system has no MD5.
std::string postgres_md5(std::string_view user, std::string_view password, std::string_view salt);

}  // namespace plimsoll::database
