#pragma once

#include "plimsoll/client/graphql.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/exchange/arguments.hpp"
#include "plimsoll/json/parse.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

namespace binding {
/// One of the deployment's `upstreams`.
std::shared_ptr<client::Service> upstream(const Build& build, std::string_view name, Mistakes& mistakes);
/// The answer's body as JSON, in the exchange's arena; `bad-answer` where it is none, or the status is not 2xx.
Result<json::Value> json_of(const Context& context, const client::Answer& answer);
Error unexpected_answer(json::Misfit misfit);
Error graphql_errors(const std::vector<client::GraphqlError>& errors);
}  // namespace binding

/// The response of a GraphQL service, its `data` read as a T. What came in place of a response (no connection, an open
/// circuit, no GraphQL) is the Error of the call.
template <class T>
struct GraphqlAnswer {
  std::optional<T> data{};                     ///< empty where there is none, or errors have left out what T needs
  json::Value raw{};                           ///< `data` as it came, for what T does not hold; null: none
  std::vector<client::GraphqlError> errors{};  ///< with `data`: of the parts of it that could not be had
  json::Value extensions = json::Value::object({});

  /// The data where all of it is there, else the problem `bad-answer` (502), which tells the log of the first error.
  Result<T> whole() && {
    if (errors.empty() && data) return std::move(*data);
    return std::unexpected(binding::graphql_errors(errors));
  }
};

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
  /// A query or mutation of GraphQL; `data` is read as a T, such as `json::Value` or a struct. `bad-answer` where it is
  /// another one, and no error of the service says why.
  template <class T = json::Value>
  Task<Result<GraphqlAnswer<T>>> graphql(client::GraphqlCall call) const {
    auto response = co_await client::graphql(*service_, *context_, std::move(call));
    if (!response) co_return std::unexpected(std::move(response).error());
    GraphqlAnswer<T> made{
        .data = {}, .raw = response->data, .errors = std::move(response->errors), .extensions = response->extensions};
    if (made.raw.is(json::Type::null)) co_return made;
    json::Misfit misfit;
    if (!json::read(made.raw, made.data.emplace(), misfit)) {
      made.data.reset();
      if (made.errors.empty()) co_return std::unexpected(binding::unexpected_answer(std::move(misfit)));
    }
    co_return made;
  }
  /// The same with variables as a struct, whose members are theirs.
  template <class T = json::Value, class V>
  Task<Result<GraphqlAnswer<T>>> graphql(client::GraphqlCall call, V variables) const {
    call.variables = json::to_string(variables);
    auto answer = co_await graphql<T>(std::move(call));
    co_return answer;
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
