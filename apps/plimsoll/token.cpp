#include "apps/plimsoll/commands.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/read_file.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/policy/authentication/jwt.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

namespace plimsoll::command {
namespace {

using policy::Jwk;
using policy::JwkSet;
using policy::JwtRules;

struct Options {
  std::string key, keys, token, subject, issuer, tenant, expires = "1h", algorithm = "ES256", private_file, public_file;
  std::vector<std::string> audience, scopes, roles, claims;
  bool json_lines = false;
};

Result<JwkSet> read_keys(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return fail(policy::kBadKey, "the key file " + path + " cannot be read: " + text.error().message());
  Arena arena;
  auto value = json::parse(*text, arena);
  if (!value) return fail(policy::kBadKey, path + " is not JSON: " + value.error().detail);
  return policy::parse_jwk_set(*value);
}

/// Never over a file that is there: tokens are verified by its keys.
bool write_new(const std::string& path, const std::string& text, mode_t mode) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0) return false;
  const bool written =
      ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(file) == 0;
  return ::close(file) == 0 && written;
}

/// `NAME=VALUE`, where VALUE is JSON if it can be read as such, else text.
bool add_claim(json::Writer& out, const std::string& claim) {
  const auto equals = claim.find('=');
  if (equals == std::string::npos || equals == 0) return false;
  Arena arena;
  const auto value = std::string_view(claim).substr(equals + 1);
  out.key(std::string_view(claim).substr(0, equals));
  if (const auto parsed = json::parse(value, arena))
    out.value(*parsed);
  else
    out.string(value);
  return true;
}

int issue(const Options& options) {
  auto keys = read_keys(options.key);
  if (!keys) return complain(keys.error());
  const auto key = std::ranges::find_if(keys->keys, &Jwk::can_sign);
  if (key == keys->keys.end())
    return complain("no key of " + options.key + " can sign", {},
                    "Give a private JWK; `plimsoll token key` generates one.");
  const auto span = config::parse_duration(options.expires);
  if (!span || span->nanoseconds <= 0)
    return complain("\"" + options.expires + "\" is not a duration", "--expires", "Write 30m, 1h or 7d.");
  const auto now = system_clock().wall() / kSecond;
  std::string claims;
  json::Writer out(claims);
  out.begin_object().key("sub").string(options.subject);
  if (!options.issuer.empty()) out.key("iss").string(options.issuer);
  if (options.audience.size() == 1) out.key("aud").string(options.audience[0]);
  if (options.audience.size() > 1) {
    out.key("aud").begin_array();
    for (const auto& each : options.audience) out.string(each);
    out.end_array();
  }
  if (!options.scopes.empty()) {
    std::string all;
    for (const auto& each : options.scopes) all += (all.empty() ? "" : " ") + each;
    out.key("scope").string(all);
  }
  if (!options.roles.empty()) {
    out.key("roles").begin_array();
    for (const auto& each : options.roles) out.string(each);
    out.end_array();
  }
  if (!options.tenant.empty()) out.key("tenant").string(options.tenant);
  for (const auto& claim : options.claims)
    if (!add_claim(out, claim)) return complain("\"" + claim + "\" is not a claim", "--claim", "Write NAME=VALUE.");
  out.key("iat").integer(now).key("exp").integer(now + span->nanoseconds / kSecond).end_object();
  const auto token = policy::issue_jwt(*key, claims);
  if (!token) return complain(token.error());
  std::puts(token->c_str());
  return 0;
}

std::string judged(bool valid, std::string_view reason, const json::Value* claims) {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("valid").boolean(valid).key("reason");
  valid ? out.null() : out.string(reason);
  if (claims) out.key("claims").value(*claims);
  out.end_object();
  return text;
}

/// One line of `verify --json-lines`.
std::string judge(std::string_view line) {
  Arena arena;
  const auto input = json::parse(line, arena);
  if (!input || !input->is(json::Type::object)) return judged(false, "bad-line", nullptr);
  const auto *token = input->find("token"), *jwk = input->find("jwk"), *jwks = input->find("jwks");
  if (!token || !token->is(json::Type::string) || !jwk == !jwks) return judged(false, "bad-line", nullptr);
  const auto keys = policy::parse_jwk_set(jwk ? *jwk : *jwks);
  if (!keys) return judged(false, "bad-key", nullptr);
  JwtRules rules;
  const auto text = [&](std::string_view name) {
    const auto* value = input->find(name);
    return value && value->is(json::Type::string) ? std::string(value->string()) : std::string{};
  };
  rules.issuer = text("issuer");
  if (auto audience = text("audience"); !audience.empty()) rules.audience = {std::move(audience)};
  auto now = system_clock().wall();
  if (const auto* at = input->find("now"); at && at->integer()) now = *at->integer() * kSecond;
  const auto jwt = policy::verify_jwt(token->string(), keys->keys, rules, now, arena);
  return jwt ? judged(true, {}, nullptr) : judged(false, policy::name_of(jwt.error()), nullptr);
}

int verify_lines() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    if (line.empty()) continue;
    std::cout << judge(line) << '\n' << std::flush;
  }
  return std::cout.good() ? 0 : 1;
}

int verify(const Options& options) {
  if (options.json_lines) return verify_lines();
  if (options.keys.empty()) return complain("no keys were given", "--keys", "Name a file with a JWK or a JWK set.");
  const auto keys = read_keys(options.keys);
  if (!keys) return complain(keys.error());
  auto token = options.token;
  if (token.empty() || token == "-") std::getline(std::cin, token);
  const JwtRules rules{.issuer = options.issuer, .audience = options.audience};
  Arena arena;
  const auto jwt = policy::verify_jwt(token, keys->keys, rules, system_clock().wall(), arena);
  const auto text = jwt ? judged(true, {}, &jwt->claims) : judged(false, policy::name_of(jwt.error()), nullptr);
  std::puts(text.c_str());
  return jwt ? 0 : 1;
}

int make_key(const Options& options) {
  const auto algorithm = policy::algorithm_of(options.algorithm);
  if (!algorithm)
    return complain("\"" + options.algorithm + "\" is not an algorithm", "--algorithm",
                    "One of RS256, PS256, ES256, EdDSA, HS256, and their 384 and 512.");
  std::error_code unknown;
  for (const auto& [file, option] : {std::pair{&options.private_file, "--private"}, {&options.public_file, "--public"}})
    if (!file->empty() && std::filesystem::exists(*file, unknown))
      return complain(*file + " already exists", option,
                      "Name a new file. To rotate keys, list the public keys of both in `keys` of one set until the "
                      "tokens of the old key have expired.");
  const auto key = Jwk::generate(*algorithm);
  if (!key) return complain(key.error());
  if (!write_new(options.private_file, key->to_json(true) + "\n", 0600))
    return complain(options.private_file + " cannot be written", "--private",
                    "Name a new file in a folder you may write.");
  const bool secret = *algorithm >= policy::Algorithm::hs256;  // then who checks must know the secret too
  const auto set = R"({"keys":[)" + key->to_json(secret) + "]}\n";
  if (options.public_file.empty()) {
    std::fputs(set.c_str(), stdout);
  } else if (!write_new(options.public_file, set, secret ? 0600 : 0644)) {
    return complain(options.public_file + " cannot be written", "--public", "Name a file in a folder you may write.");
  }
  return 0;
}

Subcommand::Run declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  auto which = std::make_shared<int (*)(const Options&)>(nullptr);
  app.require_subcommand(1);

  auto* issues = app.add_subcommand("issue", "Prints a signed token");
  issues->add_option("--key", options->key, "File with a private JWK")->required()->type_name("FILE");
  issues->add_option("--subject", options->subject, "Subject of the token (`sub`)")->required();
  issues->add_option("--issuer", options->issuer, "`iss`");
  issues->add_option("--audience", options->audience, "`aud`; may be repeated");
  issues->add_option("--scope", options->scopes, "Granted scope; may be repeated");
  issues->add_option("--role", options->roles, "Role; may be repeated");
  issues->add_option("--tenant", options->tenant, "Tenant of the caller (`tenant`)");
  issues->add_option("--claim", options->claims, "Another claim, as JSON or text; may be repeated")
      ->type_name("NAME=VALUE");
  issues->add_option("--expires", options->expires, "Lifetime")->capture_default_str();
  issues->callback([which] { *which = issue; });

  auto* verifies =
      app.add_subcommand("verify", "Verifies a token; the exit status is 0 for a valid token, 1 otherwise");
  verifies->add_option("token", options->token, "The token; without it, or with -, the first line of standard input");
  verifies->add_option("--keys", options->keys, "File with a JWK or a JWK set")->type_name("FILE");
  verifies->add_option("--issuer", options->issuer, "`iss` must be this");
  verifies->add_option("--audience", options->audience, "`aud` must name one of these; may be repeated");
  verifies->add_flag("--json-lines", options->json_lines,
                     "Each line of standard input, {\"jwk\":K,\"token\":T} or {\"jwks\":S,\"token\":T}, gives a line "
                     "{\"valid\":…,\"reason\":…}");
  verifies->callback([which] { *which = verify; });

  auto* makes = app.add_subcommand(
      "key",
      "Generates a key: writes the private key to a file, and the JWK set that verifies its tokens to standard output");
  makes->add_option("--algorithm", options->algorithm, "RS256, PS256, ES256, EdDSA, HS256, …")->capture_default_str();
  makes->add_option("--private", options->private_file, "New file for the private JWK")->required()->type_name("FILE");
  makes->add_option("--public", options->public_file, "File for the JWK set, instead of standard output")
      ->type_name("FILE");
  makes->callback([which] { *which = make_key; });
  return [options, which] { return (*which)(*options); };
}

const Subcommand token{"token", "Issues and verifies JSON Web Tokens, and generates their keys", declare};

}  // namespace
}  // namespace plimsoll::command
