#include "plimsoll/handler/upstream/argument.hpp"

#include "plimsoll/client/problems.hpp"
#include "plimsoll/handler/upstream/upstreams.hpp"

namespace plimsoll::binding {

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

Error graphql_errors(const std::vector<client::GraphqlError>& errors) {
  if (errors.empty()) return Error{&client::kBadAnswer}.because("its response has no data");
  const auto& first = errors.front();
  return Error{&client::kBadAnswer}.because("it answered with an error of GraphQL" +
                                            (first.path.empty() ? std::string() : " for " + first.path) + ": " +
                                            first.message);
}

}  // namespace plimsoll::binding
