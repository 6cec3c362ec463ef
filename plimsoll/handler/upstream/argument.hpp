#pragma once

#include "plimsoll/client/service.hpp"
#include "plimsoll/exchange/arguments.hpp"
#include "plimsoll/json/parse.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace plimsoll {

namespace binding {
/// One of the deployment's `upstreams`.
std::shared_ptr<client::Service> upstream(const Build& build, std::string_view name, Mistakes& mistakes);
/// The answer's body as JSON, in the exchange's arena; `bad-answer` where it is none, or the status is not 2xx.
Result<json::Value> json_of(const Context& context, const client::Answer& answer);
Error unexpected_answer(json::Misfit misfit);
}  // namespace binding

/// A service behind this one, by its name in `upstreams` of the deployment, with the policies that are written there
/// (timeout, retry, breaker, authentication). A handler takes it as an argument; a name that is not declared refuses
/// the start.
template <Name UpstreamName>
class Upstream {
 public:
  Upstream(client::Service& service, Context& context) : service_(&service), context_(&context) {}

  /// Any answer is an answer, a 500 too.
  Task<Result<client::Answer>> fetch(client::Call call) const {
    auto answer = co_await client::fetch(*service_, *context_, std::move(call));
    co_return answer;
  }
  /// The body of a GET as a T; the problem `bad-answer` (502) where the answer is another one.
  template <class T>
  Task<Result<T>> get(std::string target) const {
    auto answer = co_await client::fetch(*service_, *context_, {.target = std::move(target)});
    if (!answer) co_return std::unexpected(std::move(answer).error());
    auto value = binding::json_of(*context_, *answer);
    if (!value) co_return std::unexpected(std::move(value).error());
    T made{};
    json::Misfit misfit;
    if (!json::read(*value, made, misfit)) co_return std::unexpected(binding::unexpected_answer(std::move(misfit)));
    co_return made;
  }

 private:
  client::Service* service_;
  Context* context_;
};

template <Name UpstreamName>
struct Argument<Upstream<UpstreamName>> {
  Argument(const Build& build, binding::Mistakes& mistakes)
      : service(binding::upstream(build, UpstreamName.view(), mistakes)) {}
  Upstream<UpstreamName> read(Request&, Context& context, Error*) const { return {*service, context}; }
  static Upstream<UpstreamName> pass(Upstream<UpstreamName> read) { return read; }
  std::shared_ptr<client::Service> service;
};

}  // namespace plimsoll
