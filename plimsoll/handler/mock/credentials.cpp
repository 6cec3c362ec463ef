#include "plimsoll/handler/mock/credentials.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/contract/parameters.hpp"
#include "plimsoll/exchange/problems.hpp"

#include <algorithm>

namespace plimsoll::handler::mocking {
namespace {

bool starts_with_scheme(std::string_view field, std::string_view scheme, std::string_view& rest) {
  if (field.size() <= scheme.size() || field[scheme.size()] != ' ') return false;
  if (!equal_ignoring_case(field.substr(0, scheme.size()), scheme)) return false;
  rest = field.substr(scheme.size() + 1);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  return !rest.empty();
}

/// token68 (RFC 9110, section 11.2).
bool is_token68(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || std::string_view("-._~+/").contains(c);
  });
}

bool has_pair(std::string_view text, std::string_view separator, std::string_view name, Arena& arena) {
  for (auto& pair : contract::split_pairs(text, arena, separator))
    if (contract::decode(pair.name, arena, true).value_or(pair.name) == name && !pair.value.empty()) return true;
  return false;
}

bool present(const contract::SecurityScheme& scheme, const Request& request) {
  const auto authorization = request.headers.find("authorization");
  std::string_view rest;
  if (scheme.type == "apiKey") {
    auto& arena = request.headers.arena();
    switch (scheme.in) {
      case contract::In::header: return !request.headers.find(scheme.parameter).empty();
      case contract::In::query: return has_pair(request.query, "&", scheme.parameter, arena);
      case contract::In::cookie: return has_pair(request.headers.joined("cookie"), ";", scheme.parameter, arena);
      case contract::In::path:
      case contract::In::querystring: return false;
    }
  }
  if (scheme.type == "http" && scheme.scheme == "basic") {
    if (!starts_with_scheme(authorization, "basic", rest)) return false;
    const auto decoded = from_base64(rest);
    return decoded && decoded->contains(':');
  }
  if (scheme.type == "http" && scheme.scheme != "bearer") return starts_with_scheme(authorization, scheme.scheme, rest);
  if (scheme.type == "mutualTLS") return !request.peer.certificate_subject.empty();
  return starts_with_scheme(authorization, "bearer", rest) && is_token68(rest);  // bearer, oauth2, openIdConnect
}

std::string challenge_of(const contract::SecurityScheme& scheme) {
  if (scheme.type == "http" && scheme.scheme == "basic") return "Basic realm=\"mock\", charset=\"UTF-8\"";
  if (scheme.type == "apiKey") return "ApiKey realm=\"mock\"";
  if (scheme.type == "http" && scheme.scheme != "bearer") return scheme.scheme + " realm=\"mock\"";
  if (scheme.type == "mutualTLS") return "Certificate realm=\"mock\"";
  return "Bearer realm=\"mock\"";
}

}  // namespace

CredentialCheck check_credentials(const contract::Operation& operation, const Request& request) {
  if (operation.security.empty()) return {};
  CredentialCheck failed{.present = false};
  for (auto& alternative : operation.security) {
    bool all = true;
    for (auto& needed : alternative.all) {
      if (present(*needed.scheme, request)) continue;
      all = false;
      const auto challenge = challenge_of(*needed.scheme);
      if (!failed.challenge.contains(challenge)) failed.challenge += (failed.challenge.empty() ? "" : ", ") + challenge;
    }
    if (all) return {};
  }
  return failed;
}

Result<> require_credentials(const contract::Operation& operation, const Request& request, Context& context) {
  if (context.principal) return {};
  const auto found = check_credentials(operation, request);
  if (found.present) return {};
  context.promise("www-authenticate", context.kept(found.challenge));
  return fail(kUnauthenticated);
}

namespace {

class Guarded final : public Handler {
 public:
  Guarded(const contract::Operation& operation, std::unique_ptr<Handler> inner)
      : operation_(operation), inner_(std::move(inner)) {}
  Task<Result<Response>> handle(Request& request, Context& context) override {
    if (auto there = require_credentials(operation_, request, context); !there)
      co_return std::unexpected(std::move(there).error());
    auto answer = co_await inner_->handle(request, context);
    co_return answer;
  }

 private:
  const contract::Operation& operation_;
  std::unique_ptr<Handler> inner_;
};

}  // namespace

std::unique_ptr<Handler> with_credentials(const contract::Operation& operation, std::unique_ptr<Handler> inner) {
  return std::make_unique<Guarded>(operation, std::move(inner));
}

}  // namespace plimsoll::handler::mocking
