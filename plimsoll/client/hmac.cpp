#include "plimsoll/client/hmac.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/signature.hpp"
#include "plimsoll/client/connections.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/wire.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_name.hpp"

#include <algorithm>

namespace plimsoll::client {
namespace {

constexpr std::string_view kNames[] = {"method",    "target",       "path",  "query", "host",
                                       "timestamp", "timestamp-ms", "nonce", "body",  "body-sha256"};
constexpr std::string_view kField = "header:";

/// A field of which the value is a template.
struct Field {
  std::string name;
  HmacTemplate value;
};

class SignHmac final : public Policy {
 public:
  struct Parts {
    std::string secret;
    config::HmacHash hash;
    config::HmacEncoding encoding;
    HmacTemplate content, prefix;
    std::string header;
    std::vector<Field> fields;
  };
  SignHmac(Parts parts, std::span<const Peer> peers, std::unique_ptr<Refusals> refusals)
      : parts_(std::move(parts)), peers_(peers), refusals_(std::move(refusals)) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto& state = call_state(request, context);
    state.signed_as_it_is = true;
    if (parts_.content.of_body()) {
      const auto held = co_await hold_body(request, context);
      if (!held) co_return std::unexpected(held.error());
      if (request.body && !state.held) co_return fail(kBodyNotSigned);
    }
    const auto& url = peers_[state.target].url;
    const auto target = target_text(request, url);
    const auto now = context.loop.wall();
    char random[16];
    random_bytes(random, sizeof random);
    const HmacValues values{.method = request.method,
                            .target = target,
                            .host = request.authority.empty() ? std::string_view(url.authority) : request.authority,
                            .body = state.held.value_or(""),
                            .timestamp = std::to_string(now / kSecond),
                            .timestamp_ms = std::to_string(now / kMillisecond),
                            .nonce = to_hex({random, sizeof random}),
                            .fields = &request.headers};
    for (const auto& field : parts_.fields)
      set_alone(request.headers, field.name, context.kept(field.value.fill(values)));
    const auto signature = hmac_text(parts_.hash, parts_.encoding, parts_.secret, parts_.content.fill(values));
    set_alone(request.headers, parts_.header, context.kept(parts_.prefix.fill(values) + signature));
    auto answer = co_await next(request, context);
    refusals_->look(answer, state, context);
    co_return answer;
  }

 private:
  const Parts parts_;
  const std::span<const Peer> peers_;
  const std::unique_ptr<Refusals> refusals_;
};

}  // namespace

std::expected<HmacTemplate, std::string> HmacTemplate::read(std::string_view text) {
  HmacTemplate made;
  while (!text.empty()) {
    const auto open = std::min(text.find('{'), text.size());
    Piece piece{.before = std::string(text.substr(0, open))};
    text.remove_prefix(open);
    if (!text.empty()) {
      const auto close = text.find('}');
      if (close == text.npos) return std::unexpected("a { is not closed");
      const auto name = text.substr(1, close - 1);
      const auto* known = std::ranges::find(kNames, name);
      piece.named = true;
      if (known != std::end(kNames)) {
        piece.name = static_cast<Name>(known - std::begin(kNames));
      } else if (name.starts_with(kField) && is_token(name.substr(kField.size()))) {
        piece.name = Name::header;
        piece.field = lowered(name.substr(kField.size()));
      } else {
        return std::unexpected("{" + std::string(name) +
                               "} is none of the names that can stand there: method, target, path, query, host, "
                               "timestamp, timestamp-ms, nonce, body, body-sha256, header:NAME");
      }
      text.remove_prefix(close + 1);
    }
    made.pieces_.push_back(std::move(piece));
  }
  return made;
}

std::string HmacTemplate::fill(const HmacValues& values) const {
  const auto mark = std::min(values.target.find('?'), values.target.size());
  std::string text;
  for (const auto& piece : pieces_) {
    text += piece.before;
    if (!piece.named) continue;
    switch (piece.name) {
      case Name::method: text += values.method; break;
      case Name::target: text += values.target; break;
      case Name::path: text += values.target.substr(0, mark); break;
      case Name::query: text += values.target.substr(std::min(mark + 1, values.target.size())); break;
      case Name::host: text += values.host; break;
      case Name::timestamp: text += values.timestamp; break;
      case Name::timestamp_ms: text += values.timestamp_ms; break;
      case Name::nonce: text += values.nonce; break;
      case Name::body: text += values.body; break;
      case Name::body_sha256: text += to_hex(as_text(sha256(values.body))); break;
      case Name::header:
        if (values.fields) text += values.fields->joined(piece.field);
        break;
    }
  }
  return text;
}

bool HmacTemplate::has(Name name) const {
  return std::ranges::any_of(pieces_, [&](const Piece& piece) { return piece.named && piece.name == name; });
}

std::string hmac_text(config::HmacHash hash, config::HmacEncoding encoding, std::string_view secret,
                      std::string_view content) {
  const unsigned bits = hash == config::HmacHash::sha512 ? 512 : hash == config::HmacHash::sha1 ? 160 : 256;
  const auto bytes = make_hmac(bits, secret, content);
  return encoding == config::HmacEncoding::hex ? to_hex(bytes) : to_base64(bytes);
}

Result<std::unique_ptr<Policy>> hmac(const json::Value& from, const Build& build, std::unique_ptr<Refusals> refusals) {
  HmacOptions options;
  if (auto done = config::read(from, kHmacFields, &options); !done) return std::unexpected(std::move(done).error());
  const auto wrong = [&](std::string_view name, std::string_view what) {
    return config::wrong(config::member_or(from, name), what);
  };
  if (options.secret.empty()) return wrong("secret", "`hmac` has a `secret`");
  if (options.content.empty()) return wrong("template", "`hmac` has a `template` that says what is signed");
  auto header = lowered(options.header);
  if (!is_token(header)) return wrong("header", "`hmac` has a `header` that carries the signature");
  auto content = HmacTemplate::read(options.content), prefix = HmacTemplate::read(options.prefix);
  if (!content) return wrong("template", "`template`: " + content.error());
  if (!prefix) return wrong("prefix", "`prefix`: " + prefix.error());
  const auto sendable = [](std::string_view text) { return find_control(text.data(), 0, text.size()) == text.size(); };
  if (!sendable(options.prefix) || prefix->of_body()) return wrong("prefix", "`prefix` cannot be sent in a field");
  std::vector<Field> fields;
  if (options.headers)
    for (const auto& member : options.headers->object()) {
      if (!member.value.is(json::Type::string)) return config::wrong(member.value, "a field's value is text");
      auto value = HmacTemplate::read(member.value.string());
      if (!value) return config::wrong(member.value, value.error());
      if (!is_token(member.key) || !sendable(member.value.string()) || value->has(HmacTemplate::Name::body))
        return config::wrong(member.value, "the field `" + std::string(member.key) + "` cannot be sent");
      fields.push_back({lowered(member.key), std::move(*value)});
    }
  // What nobody else can know has to be sent.
  using Name = HmacTemplate::Name;
  for (const auto& [name, written] :
       {std::pair{Name::timestamp, "{timestamp}"}, {Name::timestamp_ms, "{timestamp-ms}"}, {Name::nonce, "{nonce}"}})
    if (content->has(name) && !prefix->has(name) &&
        std::ranges::none_of(fields, [&](const Field& field) { return field.value.has(name); }))
      return wrong("template", "`template` signs " + std::string(written) +
                                   ", which the service cannot know: send it in `prefix` or in one of `headers`");
  return std::make_unique<SignHmac>(SignHmac::Parts{.secret = std::move(options.secret),
                                                    .hash = options.algorithm,
                                                    .encoding = options.encoding,
                                                    .content = std::move(*content),
                                                    .prefix = std::move(*prefix),
                                                    .header = std::move(header),
                                                    .fields = std::move(fields)},
                                    build.peers, std::move(refusals));
}

}  // namespace plimsoll::client
