#include "plimsoll/client/aws.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/client/aws_signature.hpp"
#include "plimsoll/client/connections.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/wire.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/field_name.hpp"

namespace plimsoll::client {
namespace {

class SignAws final : public Policy {
 public:
  SignAws(AwsKey key, std::span<const Peer> peers, std::unique_ptr<Refusals> refusals)
      : key_(std::move(key)), peers_(peers), refusals_(std::move(refusals)) {}

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto& state = call_state(request, context);
    state.signed_as_it_is = true;
    const auto held = co_await hold_body(request, context);
    if (!held) co_return std::unexpected(held.error());
    Lasting hash = "UNSIGNED-PAYLOAD";
    if (!request.body || state.held)
      hash = context.kept(to_hex(as_text(sha256(state.held.value_or("")))));
    else if (key_.service != "s3")
      co_return fail(kBodyNotSigned);
    const auto& url = peers_[state.target].url;
    const auto time = context.kept(aws_time(context.loop.wall()));
    set_alone(request.headers, "x-amz-date", time);
    set_alone(request.headers, "x-amz-content-sha256", hash);
    if (key_.session_token.empty())
      remove_alike(request.headers, "x-amz-security-token");
    else
      set_alone(request.headers, "x-amz-security-token", lasting(key_.session_token));
    std::vector<std::pair<std::string_view, std::string_view>> fields;
    fields.emplace_back("host", request.authority.empty() ? std::string_view(url.authority) : request.authority);
    for (const auto& [name, value] : request.headers)
      if (name == "content-type" || name.starts_with("x-amz-")) fields.emplace_back(name, value);
    const auto target = target_text(request, url);
    const auto mark = std::min(target.find('?'), target.size());
    const AwsRequest signed_{.method = request.method,
                             .path = target.substr(0, mark),
                             .query = target.substr(std::min(mark + 1, target.size())),
                             .fields = fields,
                             .payload_hash = hash};
    set_alone(request.headers, "authorization", context.kept(aws_authorization(key_, signed_, time)));
    auto answer = co_await next(request, context);
    refusals_->look(answer, state, context);
    co_return answer;
  }

 private:
  const AwsKey key_;
  const std::span<const Peer> peers_;
  const std::unique_ptr<Refusals> refusals_;
};

}  // namespace

Result<std::unique_ptr<Policy>> aws(const json::Value& from, const Build& build, std::unique_ptr<Refusals> refusals) {
  AwsOptions options;
  if (auto done = config::read(from, kAwsFields, &options); !done) return std::unexpected(std::move(done).error());
  const std::pair<std::string_view, const std::string&> needed[] = {{"access-key", options.access_key},
                                                                    {"secret-key", options.secret_key},
                                                                    {"region", options.region},
                                                                    {"service", options.service}};
  for (const auto& [name, value] : needed)
    if (value.empty()) return config::wrong(from, "`aws` has a `" + std::string(name) + "`");
  return std::make_unique<SignAws>(AwsKey{.access_key = std::move(options.access_key),
                                          .secret_key = std::move(options.secret_key),
                                          .session_token = std::move(options.session_token),
                                          .region = std::move(options.region),
                                          .service = std::move(options.service)},
                                   build.peers, std::move(refusals));
}

}  // namespace plimsoll::client
