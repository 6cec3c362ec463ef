#include "plimsoll/client/message_signing.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/client/connections.hpp"
#include "plimsoll/client/message_signature.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/wire.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/http/field_name.hpp"

#include <algorithm>

namespace plimsoll::client {
namespace {

class SignMessage final : public Policy {
 public:
  SignMessage(SignatureOptions options, SigningKey key, std::span<const Peer> peers, std::unique_ptr<Refusals> refusals)
      : options_(std::move(options)), key_(std::move(key)), peers_(peers), refusals_(std::move(refusals)) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto& state = call_state(request, context);
    state.signed_as_it_is = true;
    if (signs("content-digest")) {
      const auto held = co_await hold_body(request, context);
      if (!held) co_return std::unexpected(held.error());
      if (request.body && !state.held) co_return fail(kBodyNotSigned);
      if (state.held)
        set_alone(request.headers, "content-digest",
                  context.kept("sha-256=:" + to_base64(as_text(sha256(*state.held))) + ":"));
    }
    const auto now = context.loop.wall() / kSecond;
    if (signs("date") && !request.headers.contains("date"))
      request.headers.set("date", http::as_text(http::format_date(now)));
    const auto signed_ = sign(request, peers_[state.target].url, now);
    if (!signed_) co_return std::unexpected(signed_.error());
    set_alone(request.headers, "signature-input", context.kept(options_.label + "=" + signed_->first));
    set_alone(request.headers, "signature", context.kept(options_.label + "=:" + signed_->second + ":"));
    auto answer = co_await next(request, context);
    refusals_->look(answer, state, context);
    co_return answer;
  }

 private:
  bool signs(std::string_view name) const {
    return std::ranges::find(options_.components, name) != options_.components.end();
  }

  /// The input and the signature.
  Result<std::pair<std::string, std::string>> sign(const Request& request, const Url& url, std::int64_t now) const {
    const auto target = target_text(request, url);
    const auto mark = std::min(target.find('?'), target.size());
    std::vector<std::string> names;
    for (const auto& field : request.headers) names.push_back(lowered(field.name));
    std::vector<std::pair<std::string_view, std::string_view>> fields;
    for (const auto& field : request.headers) fields.emplace_back(names[fields.size()], field.value);
    const SignedMessage message{
        .method = request.method,
        .scheme = url.tls ? "https" : "http",
        .authority = request.authority.empty() ? std::string_view(url.authority) : request.authority,
        .path = target.substr(0, mark),
        .query = target.substr(std::min(mark + 1, target.size())),
        .has_query = mark < target.size(),
        .fields = fields};
    SignatureParameters parameters{
        .created = now,
        .expires = options_.expires.nanoseconds ? now + options_.expires.nanoseconds / kSecond : 0,
        .key_id = options_.key_id,
        .algorithm = std::string(name_of(options_.algorithm)),
        .tag = options_.tag};
    for (const auto& component : options_.components)
      if (component.starts_with('@') || std::ranges::find(names, component) != names.end())
        parameters.components.push_back(component);
    const auto base = signature_base(message, parameters);
    if (!base) return fail(kInternal, "a request without " + base.error() + " is signed");
    auto signature = key_.sign(*base);
    if (!signature) return std::unexpected(std::move(signature).error());
    return std::pair{signature_input(parameters), std::move(*signature)};
  }

  const SignatureOptions options_;
  const SigningKey key_;
  const std::span<const Peer> peers_;
  const std::unique_ptr<Refusals> refusals_;
};

}  // namespace

Result<std::unique_ptr<Policy>> message_signing(const json::Value& from, const Build& build,
                                                std::unique_ptr<Refusals> refusals) {
  SignatureOptions options;
  if (auto done = config::read(from, kSignatureFields, &options); !done)
    return std::unexpected(std::move(done).error());
  const auto wrong = [&](std::string_view name, std::string_view what) {
    return config::wrong(config::member_or(from, name), what);
  };
  if (options.key.empty()) return wrong("key", "`signature` has a `key`");
  if (options.key_id.empty()) return wrong("key-id", "`signature` has a `key-id`");
  const auto sendable = [](std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 127; });
  };
  if (!sendable(options.key_id)) return wrong("key-id", "`key-id` is of printable ASCII");
  if (!sendable(options.tag)) return wrong("tag", "`tag` is of printable ASCII");
  // RFC 8941, section 3.1.2: a key of a dictionary.
  if (options.label.empty() || !(options.label[0] >= 'a' && options.label[0] <= 'z') ||
      options.label.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-.*") != options.label.npos)
    return wrong("label", "`label` begins with a small letter, and is of small letters, digits, `_`, `-`, `.` and `*`");
  if (options.components.empty()) return wrong("components", "`components` names something to sign");
  for (std::size_t i = 0; i < options.components.size(); ++i) {
    const auto& component = options.components[i];
    if (!is_component(component)) return wrong("components", "`" + component + "` is no component of a request");
    if (std::ranges::count(options.components, component) > 1)
      return wrong("components", "`" + component + "` is there twice");
    if (component == "signature" || component == "signature-input" || component == "host" ||
        component == "content-length")
      return wrong("components", "`" + component + "` cannot be signed here; the host is `@authority`");
  }
  auto key = SigningKey::read(options.algorithm, options.key);
  if (!key) return wrong("key", key.error());
  return std::make_unique<SignMessage>(std::move(options), std::move(*key), build.peers, std::move(refusals));
}

}  // namespace plimsoll::client
