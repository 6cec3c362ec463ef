#include "plimsoll/handler/upstream/upstream.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/client/client.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/handler/upstream/fields.hpp"

#include <algorithm>

namespace plimsoll::handler {
namespace {

constexpr std::uint64_t kMostBody = 16u << 20;

/// Methods whose effect is the same once or twice (RFC 9110, section 9.2.2).
bool is_idempotent(std::string_view method) {
  constexpr std::string_view methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
  return std::ranges::find(methods, method) != std::end(methods);
}

/// Where the server behind stands is for the log, not for the caller.
Error told(Error error) {
  if (error.problem != &client::kUnreachable && error.problem != &client::kBadAnswer) return error;
  return Error{error.problem, "the server behind this one gave no answer that can be used"}.because(
      std::move(error.detail));
}

class Upstream final : public Handler {
 public:
  explicit Upstream(std::string base) : base_(std::move(base)) {}

  Task<Result<Response>> handle(Request& request, Context& context) override {
    client::Call call{.method = std::string(request.method),
                      .url = base_ + std::string(request.path),
                      .headers = forwarding::request_fields(request, context),
                      .limit = kMostBody,
                      .repeatable = is_idempotent(request.method) || request.headers.contains("idempotency-key")};
    if (request.has_query) call.url.append("?").append(request.query);
    auto body = co_await body_of(request, context);
    if (!body) co_return std::unexpected(std::move(body).error());
    call.body = std::move(*body);
    auto answered = co_await context.loop.own<client::Client>().call(call);
    if (!answered) co_return std::unexpected(told(std::move(answered).error()));
    const auto& answer = context.keep<client::Answer>(std::move(*answered));
    Response response{.status = answer.status, .headers = Headers{context.arena}};
    forwarding::response_fields(answer, request.method == "HEAD", response.headers);
    if (!answer.body.empty()) response.body = std::string_view(answer.body);
    co_return response;
  }

 private:
  /// As it was read already, or read now.
  static Task<Result<std::string>> body_of(Request& request, Context& context) {
    std::string body(context.input.body_text);
    if (!request.body) co_return body;
    context.body_limit = std::min(context.body_limit, kMostBody);
    for (;;) {
      auto piece = co_await request.body->read();
      if (!piece) co_return std::unexpected(std::move(piece).error());
      if (piece->empty()) co_return body;
      body += as_text(*piece);
    }
  }

  const std::string base_;  ///< without a slash at its end
};

}  // namespace

Result<std::unique_ptr<Handler>> upstream(std::string_view url) {
  auto parsed = client::parse_url(url);
  if (!parsed) return std::unexpected(std::move(parsed).error());
  if (url.contains('?')) return fail(client::kBadUrl, "`" + std::string(url) + "` holds a query");
  while (url.ends_with('/')) url.remove_suffix(1);
  return std::make_unique<Upstream>(std::string(url));
}

}  // namespace plimsoll::handler
