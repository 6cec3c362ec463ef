#include "plimsoll/server/plan.hpp"

#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/handler/borrowed.hpp"
#include "plimsoll/handler/docs/assets.hpp"
#include "plimsoll/handler/hide.hpp"
#include "plimsoll/handler/mock/credentials.hpp"
#include "plimsoll/handler/upstream/upstream.hpp"
#include "plimsoll/server/complaints.hpp"
#include "plimsoll/server/deployment.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/html.hpp"
#include "plimsoll/server/page_access.hpp"
#include "plimsoll/server/problems.hpp"
#include "plimsoll/server/undeclared.hpp"

#include <algorithm>

namespace plimsoll::server {

Plan::Plan(Process& process, const Services& services, const Deployment& deployment,
           std::shared_ptr<const contract::Contract> contract, Version version)
    : process_(process),
      deployment_(deployment),
      contract_(std::move(contract)),
      version_(std::move(version)),
      services_(services) {
  services_.of_plan = std::make_shared<Shared>();
  services_.version = version_.name;
}
Plan::~Plan() = default;

bool Plan::needs_database() const {
  if (process_.settings.mock_all) return false;
  if (deployment_.names_database || !process_.handlers.empty()) return true;
  for (const auto& operation : contract_->operations)
    for (const auto& extension : operation.extensions)
      if (const auto* way = handling(extension.key); way && (way->needs_database || operation.extension("idempotency")))
        return true;
  return false;
}

Result<std::unique_ptr<Handler>> Plan::handler_of(const contract::Operation& operation,
                                                  contract::Complaints& complaints) {
  const auto& settings = process_.settings;
  const Build build{*contract_, operation, services_};
  const auto* mock = handling("mock");
  static const json::Value nothing = json::Value::object({});
  if (settings.mock_all) {
    if (settings.upstream.empty()) return mock->build(nothing, build);
    auto behind = handler::upstream(settings.upstream, services_);
    if (!behind) return behind;
    return handler::mocking::with_credentials(operation, std::move(*behind));
  }

  const Handling* way = nullptr;
  const json::Value* options = nullptr;
  for (const auto& extension : operation.extensions)
    if (const auto* found = handling(extension.key)) {
      if (way) {
        complaints.push_back(complaint(*contract_, operation, "two-handlers",
                                       "operation " + operation.id + " is answered by both `" +
                                           std::string(way->key.name) + "` and `" + std::string(found->key.name) + "`",
                                       "Keep one of them."));
        if (const auto at = extension.value->position(); at.line) complaints.back().at = at;
        return nullptr;
      }
      way = found;
      options = extension.value;
    }
  if (const auto own = process_.handlers.find(operation.id); own != process_.handlers.end()) {
    if (!way) {
      std::vector<std::string> mistakes;
      auto bound = own->second->bind(build, mistakes);
      for (auto& mistake : mistakes)
        complaints.push_back(complaint(*contract_, operation, "handler-mismatch",
                                       "operation " + operation.id + ": " + std::move(mistake),
                                       "Correct the handler, or the contract."));
      if (!mistakes.empty()) return nullptr;
      return std::make_unique<handler::Borrowed>(*own->second, std::move(bound));
    }
    complaints.push_back(complaint(
        *contract_, operation, "two-handlers",
        "operation " + operation.id + " is answered by `" + std::string(way->key.name) + "` and by the program",
        "Keep one of them."));
    return nullptr;
  }
  if (way) return way->build(*options, build);
  if (settings.mock_unbound && mock) return mock->build(nothing, build);
  complaints.push_back(
      complaint(*contract_, operation, "unbound-operation",
                "operation " + operation.id + " (" + operation.method + " " + operation.path + ") has no handler",
                "Give it `table`, `job`, `upstream` or `mock` in `x-plimsoll`, bind a handler in C++, or start with "
                "--mock-unbound."));
  return nullptr;
}

contract::Complaints Plan::build() {
  contract::Complaints complaints;
  std::vector<std::unique_ptr<Handler>> handlers;
  for (const auto& operation : contract_->operations) {
    const auto before = complaints.size();
    auto handler = handler_of(operation, complaints);
    // Tables show what the schema of their rows allows; for all others it is seen to here.
    if (handler && *handler && !operation.extension("table"))
      handler = handler::hide_write_only(std::move(*handler), {*contract_, operation, services_});
    if (!handler) {
      auto error = handler.error();
      if (!config::located(error.detail).at.line) error.detail = "operation " + operation.id + ": " + error.detail;
      for (const auto& extension : operation.extensions)  // at what it is answered by, where the error names no place
        if (handling(extension.key)) point_to_key(error, extension.key, extension.value);
      complaints.push_back(complaint_of(error, *contract_, operation, services_.deployment_file));
    } else if (!*handler && complaints.size() == before)
      complaints.push_back(complaint(*contract_, operation, "unbound-operation",
                                     "operation " + operation.id + " has no handler", "Correct its `x-plimsoll`."));
    handlers.push_back(handler ? std::move(*handler) : nullptr);
    services_.of_plan->of<OperationHandlers>()->all[operation.id] = handlers.back().get();
  }
  Result<std::optional<Undeclared>> undeclared = std::nullopt;
  std::unique_ptr<Handler> behind;
  if (!process_.settings.mock_all) {
    undeclared = undeclared_of(*contract_);
    Error* failed = undeclared ? nullptr : &undeclared.error();
    if (failed) point_to_key(*failed, kUndeclaredKey.name, nullptr);
    Result<std::unique_ptr<Handler>> made = nullptr;
    if (!failed && *undeclared) {
      auto& [operation, way, options] = **undeclared;
      made = way->build(*options, {*contract_, operation, services_});
      if (made)
        behind = std::move(*made);
      else
        point_to_key(*(failed = &made.error()), way->key.name, options);
    }
    if (failed) complaints.push_back(complaint_of(*failed, *contract_, {}, services_.deployment_file));
  }
  if (!complaints.empty()) return told_once(std::move(complaints));
  site_ = std::make_unique<Site>(services_, contract_);
  site_->vary(version_.header);
  process_.redirect_to_https(*site_);
  if (behind) site_->undeclared(std::move(**undeclared), std::move(behind));
  if (complaints = site_->operations(std::move(handlers)); !complaints.empty()) return complaints;
  const auto prefix = version_.name.empty() ? std::string{} : version_.bases.front();
  if (prefix.empty()) add_health(complaints, *site_, process_.health, Health::Audience::callers);
  auto more = mount_pages(*site_, prefix);
  complaints.insert(complaints.end(), more.begin(), more.end());
  return complaints;
}

Answering Plan::answering() const {
  const auto& settings = process_.settings;
  return {.mock_all = settings.mock_all,
          .mock_unbound = settings.mock_unbound,
          .handlers = &process_.handlers,
          .problems = process_.problems};
}

contract::Complaints Plan::mount_pages(Site& to, const std::string& prefix) const {
  contract::Complaints complaints;
  const auto openapi = page_access(*contract_, "openapi"), docs = page_access(*contract_, "docs");
  for (const auto* access : {&openapi, &docs})
    if (!*access) complaints.push_back(complaint_of(access->error(), *contract_, {}, services_.deployment_file));
  if (!openapi || !docs) return told_once(std::move(complaints));
  const auto callers = every_caller(*contract_);
  if (callers.empty() && (*openapi == PageAccess::authenticated || *docs == PageAccess::authenticated))
    complaints.push_back({.code = "no-callers",
                          .file = contract_->file,
                          .what = "`openapi` or `docs` is for authenticated callers, and no operation has a `security`",
                          .remedy = "Declare a security scheme that an operation uses, or write `public` or `off`."});
  const auto add = [&](PageAccess access, std::string path, std::unique_ptr<Handler> handler, std::string route = {}) {
    if (access == PageAccess::off) return;
    auto more =
        to.document(std::move(path), std::move(handler), std::move(route),
                    access == PageAccess::authenticated ? callers : std::vector<contract::SecurityRequirement>{});
    complaints.insert(complaints.end(), more.begin(), more.end());
  };
  add(*openapi, prefix + "/openapi.json", effective_page(contract_, answering(), false));
  constexpr auto kDocsPolicy =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors "
      "'none'; base-uri 'none'";
  for (const auto& asset : handler::docs::assets()) {
    const auto path = prefix + (asset.name == "index.html" ? "/docs" : "/docs/" + std::string(asset.name));
    add(*docs, path, fixed(std::string(asset.media_type), std::string(asset.bytes), kDocsPolicy), prefix + "/docs");
  }
  add_problems(complaints, to, process_.problems, prefix);
  return complaints;
}

void add_page(contract::Complaints& complaints, Site& to, std::string path, std::unique_ptr<Handler> handler,
              std::string route, std::string allow) {
  auto more = to.page(std::move(path), std::move(handler), std::move(route), std::move(allow));
  complaints.insert(complaints.end(), more.begin(), more.end());
}

void add_health(contract::Complaints& complaints, Site& to, Health& health, Health::Audience audience) {
  for (const auto kind : {Health::Kind::health, Health::Kind::ready, Health::Kind::live})
    add_page(complaints, to, std::string(Health::path(kind)), health.handler(kind, audience));
}

void add_problems(contract::Complaints& complaints, Site& to, std::span<const Problem* const> of_program,
                  const std::string& prefix) {
  const auto table = problem_table(of_program);
  const auto route = prefix + "/problems";
  add_page(complaints, to, route, fixed("text/html; charset=utf-8", problem_index(table), html_page_policy()));
  for (const auto& entry : table)
    add_page(complaints, to, route + "/" + std::string(entry.problem->code),
             fixed("text/html; charset=utf-8", problem_page(entry), html_page_policy()), route + "/{code}");
}

}  // namespace plimsoll::server
