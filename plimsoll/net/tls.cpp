#include "plimsoll/net/tls.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/base/timestamp.hpp"
#include "plimsoll/net/pem.hpp"
#include "plimsoll/net/tls_tickets.hpp"
#include "plimsoll/net/tls_transport.hpp"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <limits>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

namespace plimsoll::net {
namespace {

constexpr config::Field kFields[] = {
    config::field<&TlsOptions::certificate>(
        "certificate", "PEM file of the certificate and its chain; empty: the listeners do not use TLS."),
    config::field<&TlsOptions::key>("key", "PEM file of the private key; empty: the key is in the certificate's file."),
    config::shown(
        config::field<&TlsOptions::certificates>(
            "certificates", "Further certificates, each with `certificate` and `key`, chosen by server name."),
        "[{certificate: /etc/b.crt, key: /etc/b.key}]"),
    config::field<&TlsOptions::minimum_version>("minimum-version", "The oldest accepted version of TLS: 1.2 or 1.3."),
    config::field<&TlsOptions::client_certificate>(
        "client-certificate",
        "Whether callers present a certificate: off, optional (verified if presented) or required."),
    config::field<&TlsOptions::client_authorities>("client-authorities",
                                                   "PEM file of the authorities that may sign client certificates."),
    config::field<&TlsOptions::ticket_lifetime>("ticket-lifetime",
                                                "How long a session can be resumed; keys rotate at a third of it."),
    config::field<&TlsOptions::reload>(
        "reload", "How often certificate files are checked; a changed one is used for new connections at once."),
};

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* thing) const {
    Free(thing);
  }
};
using SslContext = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;

/// What OpenSSL says went wrong, and forgets it.
std::string openssl_error() {
  std::string text;
  while (const auto code = ERR_get_error()) {
    char line[256];
    ERR_error_string_n(code, line, sizeof line);
    const char* reason = ERR_reason_error_string(code);
    if (text.empty()) text = reason ? reason : line;
  }
  return text.empty() ? "unknown fault" : text;
}

std::unexpected<Error> cannot(std::string_view file, std::string_view what) {
  auto why = openssl_error();
  return fail(kTls, std::string(file) + ": " + std::string(what) + " (" + why + ")");
}

/// A file as it was when it was read.
struct Seen {
  std::string path;
  ino_t inode = 0;
  off_t size = 0;
  timespec modified{};

  explicit Seen(std::string from) : path(std::move(from)) {
    struct stat now{};
    if (::stat(path.c_str(), &now) == 0) inode = now.st_ino, size = now.st_size, modified = now.st_mtim;
  }
  bool same(const Seen& other) const {
    return inode == other.inode && size == other.size && modified.tv_sec == other.modified.tv_sec &&
           modified.tv_nsec == other.modified.tv_nsec;
  }
};

struct Identity {
  SslContext context;
  std::vector<std::string> names;  ///< lower case; `*.` in front: one label of any name
  std::int64_t expires = 0;

  bool fits(std::string_view name) const {
    for (auto& own : names) {
      if (own == name) return true;
      if (own.starts_with("*.")) {
        const auto dot = name.find('.');
        if (dot != std::string_view::npos && dot > 0 && name.substr(dot) == std::string_view(own).substr(1))
          return true;
      }
    }
    return false;
  }
};

std::int64_t unix_seconds(const ASN1_TIME* time) {
  std::tm parts{};
  return time && ASN1_TIME_to_tm(time, &parts) == 1 ? static_cast<std::int64_t>(::timegm(&parts)) : 0;
}

std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> out;
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>> names{
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const auto* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    out.push_back(lowered({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                           static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))}));
  }
  return out;
}

/// h2 before http/1.1, by our preference; a client that offers neither is told so (RFC 7301, section 3.2).
int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned in_size,
                    void*) {
  static constexpr unsigned char kOurs[] = "\x02h2\x08http/1.1";
  return SSL_select_next_proto(const_cast<unsigned char**>(out), size, kOurs, sizeof kOurs - 1, in, in_size) ==
                 OPENSSL_NPN_NEGOTIATED
             ? SSL_TLSEXT_ERR_OK
             : SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

const std::span<const config::Field> kTlsFields{kFields};

namespace {

/// What was read at one time: never changed, only replaced.
struct Generation {
  std::vector<Identity> identities;
  std::vector<Seen> files;
  std::int64_t expires = 0;     ///< the first of them
  std::string first_to_expire;  ///< its file
};

class Loaded final : public TlsContext {
 public:
  Loaded(TlsOptions options, std::move_only_function<void(const Result<>&)> told, const Clock& clock,
         std::move_only_function<void(std::int64_t)> expiring)
      : options_(std::move(options)),
        told_(std::move(told)),
        expiring_(std::move(expiring)),
        clock_(clock),
        tickets_(options_.ticket_lifetime.nanoseconds) {
    RAND_bytes(session_id_context_, sizeof session_id_context_);
  }

  Result<> reload() override {
    auto made = read();
    if (!made) return std::unexpected(std::move(made).error());
    std::lock_guard lock(mutex_);
    // A valid certificate is never given up for one that every client refuses; at the start there is none to keep.
    const auto now = clock_.wall() / kSecond;
    if (generation_ && generation_->expires > now && (*made)->expires <= now)
      return fail(kTls, (*made)->first_to_expire + ": this certificate expired on " +
                            rfc3339_seconds((*made)->expires) + "; the one in use is valid until " +
                            rfc3339_seconds(generation_->expires) + " and is kept");
    generation_ = std::move(*made);
    return {};
  }

  std::unique_ptr<Transport> transport(Loop& loop, int socket) override {
    return tls_transport(loop, socket, current()->identities.front().context.get());
  }
  std::int64_t expires() const override { return current()->expires; }

  void watch() {
    warn();
    if (options_.reload.nanoseconds > 0) watcher_ = std::jthread([this](std::stop_token stop) { look(stop); });
  }

 private:
  std::shared_ptr<const Generation> current() const {
    std::lock_guard lock(mutex_);
    return generation_;
  }
  void look(std::stop_token stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, stop, std::chrono::nanoseconds(options_.reload.nanoseconds), [] { return false; }) &&
           !stop.stop_requested()) {
      warn();
      const auto now = current();
      if (std::ranges::all_of(now->files, [](const Seen& file) { return file.same(Seen{file.path}); })) continue;
      // A pair of files is not written in one instant: what does not fit yet is tried again at the next look.
      const auto done = reload();
      const auto wrong = done ? std::string{} : done.error().detail;
      if (told_ && (done || wrong != wrong_)) told_(done);
      wrong_ = wrong;
    }
  }
  /// By one thread at a time: before the watcher begins, then by the watcher.
  void warn() {
    constexpr Nanoseconds kDay = 86400 * kSecond;
    const auto expires = current()->expires;
    if (!expiring_ || expires - clock_.wall() / kSecond > 14 * kDay / kSecond) return;
    const auto steady = clock_.steady();
    if (warned_ && steady - *warned_ < kDay && warned_of_ == expires) return;
    warned_ = steady;
    warned_of_ = expires;
    expiring_(expires);
  }
  Result<std::shared_ptr<const Generation>> read();
  Result<Identity> read(const Certificate& files);
  Result<> verify_callers(SSL_CTX* context);
  static int choose_identity(SSL* ssl, int* alert, void* self);
  static int ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                    int sealing);

  const TlsOptions options_;
  std::move_only_function<void(const Result<>&)> told_;
  std::move_only_function<void(std::int64_t)> expiring_;
  std::string wrong_;                  ///< what the last look found
  std::optional<Nanoseconds> warned_;  ///< steady
  std::int64_t warned_of_ = 0;
  const Clock& clock_;
  TicketKeys tickets_;
  unsigned char session_id_context_[16]{};
  mutable std::mutex mutex_;
  std::shared_ptr<const Generation> generation_;
  std::jthread watcher_;  // last: it uses the others
};

Result<std::shared_ptr<const Generation>> Loaded::read() {
  auto made = std::make_shared<Generation>();
  made->expires = std::numeric_limits<std::int64_t>::max();
  const auto note = [&](const std::string& path) {
    if (!path.empty() && !is_pem(path)) made->files.emplace_back(path);
  };
  auto all = options_.certificates;
  if (!options_.certificate.empty()) all.insert(all.begin(), {options_.certificate, options_.key});
  // Looked at before they are read: a change in between is then seen at the next look.
  note(options_.client_authorities);
  for (auto& files : all) note(files.certificate), note(files.key);
  for (auto& files : all) {
    auto identity = read(files);
    if (!identity) return std::unexpected(std::move(identity).error());
    if (identity->expires < made->expires) {
      made->expires = identity->expires;
      made->first_to_expire = name_of_pem(files.certificate);
    }
    made->identities.push_back(std::move(*identity));
  }
  if (made->identities.empty()) return fail(kTls, "no certificate is given");
  return made;
}

Result<Identity> Loaded::read(const Certificate& files) {
  Identity out;
  out.context.reset(SSL_CTX_new(TLS_server_method()));
  auto* c = out.context.get();
  if (!c) return cannot(files.certificate, "no memory");
  SSL_CTX_set_min_proto_version(c, options_.minimum_version == TlsVersion::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                             SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // RELEASE_BUFFERS: an idle connection holds 14 KiB instead of 70.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(c, 1);
  SSL_CTX_set_max_early_data(c, 0);
  // RFC 9113, section 9.2.2 forbids what is not ephemeral and authenticated.
  SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set1_groups_list(c, "X25519:P-256:P-384");
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(c, static_cast<long>(options_.ticket_lifetime.nanoseconds / kSecond));
  SSL_CTX_set_num_tickets(c, 1);
  SSL_CTX_set_session_id_context(c, session_id_context_, sizeof session_id_context_);
  SSL_CTX_set_app_data(c, this);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(c, &Loaded::ticket);
  SSL_CTX_set_tlsext_servername_callback(c, &Loaded::choose_identity);
  SSL_CTX_set_tlsext_servername_arg(c, this);
  SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  if (!use_chain(c, files.certificate)) return cannot(name_of_pem(files.certificate), "no certificate could be read");
  const auto& key = files.key.empty() ? files.certificate : files.key;
  const bool used = use_key(c, key);
  const auto why = ERR_peek_last_error();
  const bool other = ERR_GET_LIB(why) == ERR_LIB_X509 && ERR_GET_REASON(why) == X509_R_KEY_VALUES_MISMATCH;
  if (!used && !other) return cannot(name_of_pem(key), "no key without passphrase could be read");
  if (!used || SSL_CTX_check_private_key(c) != 1)
    return cannot(name_of_pem(key), "the key is not that of " + name_of_pem(files.certificate));
  if (auto able = verify_callers(c); !able) return std::unexpected(std::move(able).error());

  auto* certificate = SSL_CTX_get0_certificate(c);
  out.names = names_of(certificate);
  out.expires = unix_seconds(X509_get0_notAfter(certificate));
  return out;
}

Result<> Loaded::verify_callers(SSL_CTX* c) {
  if (options_.client_certificate == ClientCertificate::off) return {};
  const auto& file = options_.client_authorities;
  if (file.empty())
    return fail(kTls, "client-certificate needs client-authorities: the file of the authorities that sign them");
  if (!use_authorities(c, file)) return cannot(file, "no authority could be read");
  SSL_CTX_set_client_CA_list(c, SSL_load_client_CA_file(file.c_str()));
  const bool required = options_.client_certificate == ClientCertificate::required;
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  SSL_CTX_set_verify_depth(c, 8);
  return {};
}

int Loaded::choose_identity(SSL* ssl, int*, void* from) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (!name) return SSL_TLSEXT_ERR_NOACK;
  const auto wanted = lowered(name);
  const auto now = static_cast<Loaded*>(from)->current();
  for (auto& identity : now->identities)
    if (identity.fits(wanted)) {
      SSL_set_SSL_CTX(ssl, identity.context.get());
      return SSL_TLSEXT_ERR_OK;
    }
  return SSL_TLSEXT_ERR_NOACK;  // the first certificate: the client decides whether it fits
}

int Loaded::ticket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                   int sealing) {
  auto& self = *static_cast<Loaded*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  const auto now = self.clock_.steady();
  TicketKey key;
  bool renew = false;
  if (sealing) {
    const auto found = self.tickets_.sealing(now);
    if (!found || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
    key = *found;
    std::ranges::copy(key.name, name);
  } else {
    const auto found = self.tickets_.opening(name, now);
    if (!found) return 0;
    key = found->key;
    renew = found->renew;
  }
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
                         OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                         OSSL_PARAM_construct_end()};
  const bool good = EVP_MAC_CTX_set_params(mac, params) == 1 &&
                    EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, sealing) == 1;
  OPENSSL_cleanse(&key, sizeof key);
  if (!good) return -1;
  return renew ? 2 : 1;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::load(TlsOptions options,
                                                     std::move_only_function<void(const Result<>&)> told,
                                                     const Clock& clock,
                                                     std::move_only_function<void(std::int64_t)> expiring) {
  auto made = std::make_shared<Loaded>(std::move(options), std::move(told), clock, std::move(expiring));
  if (auto read = made->reload(); !read) return std::unexpected(std::move(read).error());
  made->watch();
  return made;
}

}  // namespace plimsoll::net

namespace plimsoll::config {

Result<std::vector<net::Certificate>> Form<std::vector<net::Certificate>>::read(const json::Value& from) {
  static constexpr Field kOne[] = {
      field<&net::Certificate::certificate>("certificate", "PEM file of it and its chain."),
      field<&net::Certificate::key>("key", "PEM file of its key.")};
  if (!from.is(json::Type::array)) return wrong(from, "a list of `{certificate, key}` is expected");
  std::vector<net::Certificate> out;
  for (auto& one : from.array()) {
    auto& made = out.emplace_back();
    if (auto done = config::read(one, kOne, &made); !done) return std::unexpected(std::move(done).error());
    if (made.certificate.empty()) return wrong(one, "`certificate` is missing");
  }
  return out;
}

std::string Form<std::vector<net::Certificate>>::show(const std::vector<net::Certificate>& value) {
  std::string out = "[";
  for (auto& one : value) {
    if (out.size() > 1) out += ',';
    out += Form<std::string>::show(net::is_pem(one.certificate) ? "PEM" : one.certificate);
  }
  return out + "]";
}

}  // namespace plimsoll::config
