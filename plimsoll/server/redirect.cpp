#include "plimsoll/server/redirect.hpp"

#include "plimsoll/exchange/context.hpp"
#include "plimsoll/server/site.hpp"

namespace plimsoll::server {
namespace {

constexpr config::Field kFields[] = {
    config::field<&RedirectToHttps::from>("from",
                                          "Addresses of further listeners without TLS, which only redirect: `:80`."),
    config::field<&RedirectToHttps::port>("port", "Port in the URL that clients are redirected to.", {1, 65535}),
};

/// Without its port; an IPv6 address keeps its brackets.
std::string_view host_of(std::string_view authority) {
  const auto bracket = authority.rfind(']');
  const auto colon = authority.find(':', bracket == authority.npos ? 0 : bracket);
  return authority.substr(0, colon);
}

class Redirect final : public Handler {
 public:
  explicit Redirect(std::int64_t port) : port_(port == 443 ? std::string{} : ":" + std::to_string(port)) {}

  Task<Result<Response>> handle(Request& request, Context& context) override {
    const auto host = host_of(request.authority.empty() ? request.headers.find("host") : request.authority);
    if (host.empty() || !request.path.starts_with('/')) co_return fail(kMisdirected);
    std::string location = "https://";
    location.append(host).append(port_).append(request.path);
    if (!request.query.empty()) location.append("?").append(request.query);
    Response response{.status = 308, .headers = Headers{context.arena}};
    response.headers.add("location", context.kept(std::move(location)));
    response.headers.add("cache-control", "no-store");
    co_return response;
  }

 private:
  std::string port_;
};

}  // namespace

const std::span<const config::Field> kRedirectFields = kFields;

Result<std::optional<RedirectToHttps>> read_redirect(const json::Value* from) {
  if (!from) return std::optional<RedirectToHttps>{};
  if (from->is(json::Type::boolean)) return from->boolean() ? std::optional{RedirectToHttps{}} : std::nullopt;
  RedirectToHttps made;
  if (auto done = config::read(*from, kRedirectFields, &made); !done) return std::unexpected(std::move(done).error());
  return std::optional{std::move(made)};
}

std::unique_ptr<Handler> redirect_to_https(std::int64_t port) { return std::make_unique<Redirect>(port); }

}  // namespace plimsoll::server
