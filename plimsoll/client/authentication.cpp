#include "plimsoll/base/encoding.hpp"
#include "plimsoll/client/aws.hpp"
#include "plimsoll/client/hmac.hpp"
#include "plimsoll/client/message_signing.hpp"
#include "plimsoll/client/oauth2.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/client/refusals.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_name.hpp"

#include <algorithm>

namespace plimsoll::client {
namespace {

/// Says who calls: a bearer token (RFC 6750), name and password (RFC 7617), a field of the service's own, or a token
/// that is fetched (oauth2.hpp).
class Authentication final : public Policy {
 public:
  struct Options {
    std::string bearer, user, password, header, value;
    config::Raw oauth2 = nullptr, aws = nullptr, signature = nullptr, hmac = nullptr;
    config::Refusals refusals = config::Refusals::ours;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::bearer>("bearer", "A token: `Authorization: Bearer …`."),
      config::field<&Options::user>("user", "A name, with `password`: `Authorization: Basic …`."),
      config::field<&Options::password>("password", "The password of `user`."),
      config::field<&Options::header>("header", "The name of a header, with `value`."),
      config::field<&Options::value>("value", "The value of `header`."),
      config::shown(config::object_of<OAuth2Options>(
                        config::field<&Options::oauth2>(
                            "oauth2", "Client credentials of OAuth2: a token is fetched, and renewed before its end."),
                        kOAuth2Fields),
                    "{token-url: 'https://id.example.com/token', client: shop, secret: '${REVIEWS_SECRET}'}"),
      config::shown(config::object_of<AwsOptions>(
                        config::field<&Options::aws>("aws", "Amazon Web Services, Signature Version 4."), kAwsFields),
                    "{access-key: AKIDEXAMPLE, secret-key: '${AWS_SECRET}', region: eu-central-1, service: s3}"),
      config::shown(
          config::object_of<SignatureOptions>(
              config::field<&Options::signature>("signature", "HTTP Message Signatures (RFC 9421)."), kSignatureFields),
          "{key: '${file:/run/secrets/reviews.pem}', key-id: shop-1}"),
      config::shown(config::object_of<HmacOptions>(
                        config::field<&Options::hmac>("hmac", "An HMAC over what a template says."), kHmacFields),
                    "{secret: '${REVIEWS_SECRET}', template: '{timestamp}.{body}', header: X-Signature, prefix: "
                    "'t={timestamp},v1='}"),
      config::field<&Options::refusals>(
          "refusals",
          "How 401 and 403 of the service are interpreted: `ours`, as a rejection of this credential (the caller gets "
          "502 `credential-refused`); `pass`, as possibly meant for the caller, and passed on."),
  };
  static constexpr Metric metrics[] = {
      {"plimsoll_client_token_fetches_total", "1",
       "Fetches of OAuth2 tokens for calls to a service, by outcome: `fetched`, `failed`."},
      Refusals::kMetric,
  };

  /// Options that say something only together.
  struct Pair {
    std::string name, other;
    std::string_view remedy;
  };
  static inline const Pair kPairs[] = {
      {"user", "password", "Write `authentication: {user: NAME, password: '${VARIABLE}'}`; `password: ''` is none."},
      {"header", "value", "Write `authentication: {header: X-Api-Key, value: '${VARIABLE}'}`."}};

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    if (!from) return nullptr;
    Options options;
    if (auto done = config::read(*from, fields, &options, kEveryPolicy); !done)
      return std::unexpected(std::move(done).error());
    for (const auto& [name, other, remedy] : kPairs) {
      const auto *one = from->find(name), *two = from->find(other);
      if (one && !two) return config::wrong(*one, "`" + name + "` has no `" + other + "`", remedy);
      if (two && !one) return config::wrong(*two, "`" + other + "` has no `" + name + "`", remedy);
    }
    const int ways = !options.bearer.empty() + !options.user.empty() + !options.header.empty() +
                     (options.oauth2 != nullptr) + (options.aws != nullptr) + (options.signature != nullptr) +
                     (options.hmac != nullptr);
    if (ways != 1)
      return config::wrong(
          *from, "`authentication` has one of `bearer`, `user`, `header`, `oauth2`, `aws`, `signature` and `hmac`",
          "Write one of them, and not empty: `authentication: {bearer: '${VARIABLE}'}`.");
    auto refusals = std::make_unique<Refusals>(build, options.refusals);
    if (options.oauth2) return client::oauth2(*options.oauth2, build, std::move(refusals));
    if (options.aws) return client::aws(*options.aws, build, std::move(refusals));
    if (options.hmac) return client::hmac(*options.hmac, build, std::move(refusals));
    if (options.signature) return message_signing(*options.signature, build, std::move(refusals));
    std::string name = "authorization", value = "Bearer " + options.bearer;
    if (!options.user.empty()) {
      if (options.user.contains(':'))
        return config::wrong(*from->find("user"), "a user's name has no colon (RFC 7617)");
      value = "Basic " + to_base64(options.user + ":" + options.password);
    } else if (!options.header.empty()) {
      name = options.header;
      value = options.value;
    }
    std::ranges::transform(name, name.begin(), lower);
    if (!is_token(name))
      return config::wrong(*from->find("header"), "`" + options.header + "` is no name of a header",
                           "Write a name of letters, digits and -, such as X-Api-Key.");
    if (find_control(value.data(), 0, value.size()) != value.size() || value.empty())
      return config::wrong(config::member_or(*from, options.bearer.empty() ? "value" : "bearer"),
                           "the credential is empty, or holds a line break or another control",
                           "Write it in one line; `${file:PATH}` leaves out the line break at the end of a file.");
    return std::make_unique<Authentication>(std::move(name), std::move(value), std::move(refusals));
  }
  Authentication(std::string name, std::string value, std::unique_ptr<Refusals> refusals)
      : name_(std::move(name)), value_(std::move(value)), refusals_(std::move(refusals)) {}

  /// The policy outlives the call: nothing is copied.
  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    set_alone(request.headers, lasting(name_), lasting(value_));
    auto answer = co_await next(request, context);
    refusals_->look(answer, call_state(request, context), context);
    co_return answer;
  }

 private:
  const std::string name_, value_;
  const std::unique_ptr<Refusals> refusals_;
};

}  // namespace

extern constinit const Part authentication = part<Authentication>("authentication", "Adds credentials to each call.");

}  // namespace plimsoll::client
