#include "plimsoll/handler/upstream/upstream.hpp"

#include "plimsoll/client/service.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/handler/upstream/fields.hpp"
#include "plimsoll/http/negotiate.hpp"

#include <charconv>
#include <utility>

namespace plimsoll::handler {
namespace {

constexpr std::uint64_t kMostHeld = 16u << 20;  ///< of an answer that is held against the contract
constexpr std::uint64_t kHeldAnyhow = 1u << 20;

/// Where the server behind stands is for the log, not for the caller.
Error told(Error error) {
  if (error.problem != &client::kUnreachable && error.problem != &client::kBadAnswer) return error;
  return Error{error.problem, "the server behind this one gave no answer that can be used"}.because(
      std::move(error.detail));
}

/// A body that was read already.
class Text final : public Stream {
 public:
  explicit Text(std::string_view text) : text_(text) {}
  Task<Result<Bytes>> read() override { co_return as_bytes(std::exchange(text_, {})); }

 private:
  std::string_view text_;
};

/// What is held against the contract is held whole, and so is what is small; the rest passes through.
bool is_held(const Response& answer) {
  const auto type = http::essence(answer.headers.find("content-type"));
  if (type == "text/event-stream") return false;
  const auto kind = contract::body_kind(type);
  using enum contract::BodyKind;
  if (kind == json || kind == json_lines || kind == text) return true;
  const auto told = answer.headers.find("content-length");
  std::uint64_t length = 0;
  return std::from_chars(told.data(), told.data() + told.size(), length).ec == std::errc{} && length <= kHeldAnyhow;
}

class Upstream final : public Handler {
 public:
  explicit Upstream(std::shared_ptr<client::Service> service) : service_(std::move(service)) {}

  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto& target = context.keep<std::string>(request.path);
    if (request.has_query) target.append("?").append(request.query);
    const auto& fields =
        context.keep<std::vector<std::pair<std::string, std::string>>>(forwarding::request_fields(request));
    Request onward{.method = request.method, .target = target, .headers = Headers{context.arena}};
    for (const auto& [name, value] : fields) onward.headers.add(name, value);
    if (const auto read = context.input.body_text; !request.body && !read.empty()) {
      onward.body = &context.arena.make<Text>(read);
      onward.content_length = read.size();
    } else if (request.body) {
      onward.body = request.body;
      onward.content_length = request.content_length;
    }
    auto answered = co_await service_->call(onward, context);
    if (!answered) co_return std::unexpected(told(std::move(answered).error()));
    Response response{.status = answered->status, .headers = Headers{context.arena}};
    const bool held = is_held(*answered);
    const bool streamed = !held && std::holds_alternative<Stream*>(answered->body);
    forwarding::response_fields(*answered, streamed || request.method == "HEAD", response.headers);
    if (streamed) {
      response.body = answered->body;
    } else {
      auto whole = co_await client::whole_body(*answered, kMostHeld);
      if (!whole) co_return std::unexpected(told(std::move(whole).error()));
      if (!whole->empty()) response.body = std::string_view(context.keep<std::string>(std::move(*whole)));
    }
    co_return response;
  }

 private:
  const std::shared_ptr<client::Service> service_;
};

}  // namespace

Result<std::unique_ptr<Handler>> upstream(std::string_view url, const Services& services) {
  if (url.contains('?')) return fail(client::kBadUrl, "`" + std::string(url) + "` holds a query");
  auto service = client::Service::make(
      {.name = "upstream", .url = std::string(url), .timeouts = {.passed_on = true}}, services);
  if (!service) return std::unexpected(std::move(service).error());
  return std::make_unique<Upstream>(std::move(*service));
}

}  // namespace plimsoll::handler
