#include "plimsoll/handler/upstream/argument.hpp"

#include "plimsoll/client/problems.hpp"
#include "plimsoll/handler/upstream/upstreams.hpp"

namespace plimsoll::binding {
namespace {

class TextStream final : public Stream {
 public:
  explicit TextStream(std::string text) : text_(std::move(text)) {}
  Task<Result<Bytes>> read() override { co_return std::exchange(given_, true) ? Bytes{} : as_bytes(text_); }

 private:
  std::string text_;
  bool given_ = false;
};

}  // namespace

std::shared_ptr<client::Service> upstream(const Build& build, std::string_view name, Mistakes& mistakes) {
  const auto upstreams = build.services.of_generation->of<handler::forwarding::Upstreams>();
  if (const auto known = upstreams->all.find(name); known != upstreams->all.end()) return known->second.service;
  std::vector<std::string_view> names;
  for (const auto& each : upstreams->all) names.push_back(each.first);
  const auto near = config::nearest(name, names);
  mistakes.push_back("`upstreams` of the deployment has no \"" + std::string(name) + '"' +
                     (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"));
  return nullptr;
}

Task<Result<client::Answer>> fetch(client::Service& service, Context& context, client::Call call) {
  auto& request = context.keep<Request>(Request{.method = context.kept(std::move(call.method)),
                                                .target = context.kept(std::move(call.target)),
                                                .headers = Headers{context.arena}});
  for (const auto& [name, value] : call.headers) request.headers.add(name, value);
  if (!call.body.empty()) {
    request.content_length = call.body.size();
    request.body = &context.keep<TextStream>(std::move(call.body));
  }
  auto given = co_await service.call(request, context);
  if (!given) co_return std::unexpected(std::move(given).error());
  client::Answer answer{.status = given->status};
  for (const auto& [name, value] : given->headers) answer.headers.emplace_back(name, value);
  auto whole = co_await client::whole_body(*given, call.limit);
  if (!whole) co_return std::unexpected(std::move(whole).error());
  answer.body = std::move(*whole);
  co_return answer;
}

Result<json::Value> json_of(const Context& context, const client::Answer& answer) {
  if (answer.status < 200 || answer.status > 299)
    return std::unexpected(Error{&client::kBadAnswer}.because("it answered " + std::to_string(answer.status)));
  auto value = json::parse(context.arena.keep(answer.body), context.arena);
  if (!value)
    return std::unexpected(Error{&client::kBadAnswer}.because("its body is not JSON: " + value.error().detail));
  return value;
}

Error unexpected_answer(json::Misfit misfit) {
  return Error{&client::kBadAnswer}.because("its body is another one: " + misfit.pointer + " " + misfit.message);
}

}  // namespace plimsoll::binding
