#pragma once

// For tests only.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string>

namespace plimsoll::net {

/// A certificate that signs itself, with its key, both as PEM text.
struct TestCertificate {
  std::string certificate, key;

  static TestCertificate make(const std::string& name) {
    auto* pair = EVP_EC_gen("P-256");
    auto* made = X509_new();
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, pair);
    auto* subject = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1,
                               -1, 0);
    X509_set_issuer_name(made, subject);
    const auto names = "DNS:" + name;
    auto* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str());
    X509_add_ext(made, extension, -1);
    X509_EXTENSION_free(extension);
    X509_sign(made, pair, EVP_sha256());
    TestCertificate out{pem([&](BIO* into) { PEM_write_bio_X509(into, made); }), pem([&](BIO* into) {
                          PEM_write_bio_PrivateKey(into, pair, nullptr, nullptr, 0, nullptr, nullptr);
                        })};
    X509_free(made);
    EVP_PKEY_free(pair);
    return out;
  }

 private:
  template <class Write>
  static std::string pem(Write write) {
    auto* memory = BIO_new(BIO_s_mem());
    write(memory);
    char* text = nullptr;
    const auto size = BIO_get_mem_data(memory, &text);
    std::string out(text, static_cast<std::size_t>(size));
    BIO_free(memory);
    return out;
  }
};

}  // namespace plimsoll::net
