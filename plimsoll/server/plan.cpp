#include "plimsoll/server/plan.hpp"

#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/handler/borrowed.hpp"
#include "plimsoll/handler/docs/assets.hpp"
#include "plimsoll/handler/hide.hpp"
#include "plimsoll/handler/mock/credentials.hpp"
#include "plimsoll/handler/upstream/upstream.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/complaints.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/log_level.hpp"
#include "plimsoll/server/problems.hpp"
#include "plimsoll/server/reload_desk.hpp"
#include "plimsoll/server/words.hpp"

#include <algorithm>

namespace plimsoll::server {
namespace {

std::string without_end(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

namespace {

using Augment = std::function<void(contract::Draft&)>;

std::expected<std::shared_ptr<const contract::Contract>, contract::Complaints> load_contract(
    const std::string& file, const std::vector<std::string>& overlays, Augment more) {
  const auto keys = contract_keys();
  const auto later = later_words();
  contract::LoadOptions options{.file = file, .overlays = overlays, .keys = keys, .later_words = later};
  for (const auto* each : handlings())
    if (each->augment) options.augment.emplace_back(each->augment);
  if (more) options.augment.push_back(std::move(more));
  return contract::load(options);
}

/// How answers are held against the contract, where its document does not say so itself.
void say_responses(contract::Draft& draft, std::string_view how) {
  auto* extension = draft.root.find("x-plimsoll");
  if (!extension) {
    draft.root.set(draft.arena, "x-plimsoll", json::Value::object({}));
    extension = draft.root.find("x-plimsoll");
  }
  if (extension->is(json::Type::object) && !extension->find("responses"))
    extension->set(draft.arena, "responses", json::Value::of(draft.arena.keep(how)));
}

}  // namespace

std::expected<std::shared_ptr<const contract::Contract>, contract::Complaints> load_contract(
    const std::string& file, const std::vector<std::string>& overlays) {
  return load_contract(file, overlays, nullptr);
}

std::expected<Documents, contract::Complaints> read_documents(const Settings& settings) {
  auto deployment = read_deployment(settings.config);
  Augment more;
  if (!settings.upstream.empty()) more = [&](contract::Draft& draft) { say_responses(draft, settings.responses); };
  auto contract = load_contract(settings.contract, settings.overlays, std::move(more));
  if (!deployment || !contract) {
    contract::Complaints all;
    if (!contract) all = std::move(contract).error();
    if (!deployment) all.insert(all.end(), deployment.error().begin(), deployment.error().end());
    return std::unexpected(std::move(all));
  }
  if (!settings.listen.empty()) deployment->listen = settings.listen;
  if (!settings.management.empty()) deployment->management = settings.management;
  return Documents{std::make_shared<const Deployment>(std::move(*deployment)), std::move(*contract)};
}

Plan::Plan(Process& process, Documents documents)
    : process_(process), documents_(std::move(documents)), services_(process.services()) {
  services_.deployment = deployment().root;
  services_.deployment_file = deployment().file.empty() ? "plimsoll.yaml" : deployment().file;
  use_ = std::shared_ptr<const void>(this, [unused = unused_](const void*) { unused->release(); });
  services_.in_use = use_;
}
Plan::~Plan() { services_.backgrounds->stop(); }

void Plan::retire() {
  use_.reset();
  services_.backgrounds->retire();
  unused_->acquire();
}

contract::Complaints Plan::begin(ReloadDesk* desk) {
  const auto& settings = process_.settings;
  contract::Complaints complaints;
  if (!settings.upstream.empty())
    if (auto behind = handler::upstream(settings.upstream, services_); !behind)
      return {{.code = std::string(behind.error().problem->code),
               .what = "--upstream: " + behind.error().detail,
               .remedy = std::string(behind.error().problem->remedy)}};
  for (const auto& entry : problem_table())
    for (const auto* own : process_.problems)
      if (own->code == entry.problem->code && own != entry.problem)
        complaints.push_back(
            {.code = "problem-declared-twice",
             .file = settings.contract,
             .what = "the program declares the problem " + std::string(own->code) + ", which is the server's",
             .remedy = "Give it another code; `plimsoll problems` lists those that are taken."});
  if (!settings.mock_all)
    for (const auto& row : rows())
      if (auto used = row.part->check ? row.part->check(contract(), deployment().root) : Result<>{}; !used)
        complaints.push_back(complaint_of(used.error(), contract(), {}, deployment().file));
  if (complaints.empty()) complaints = mount_management(desk);
  return complaints;
}

bool Plan::needs_database() const {
  if (deployment().names_database || !process_.handlers.empty()) return true;
  if (process_.settings.mock_all) return false;
  for (const auto& operation : contract().operations)
    for (const auto& extension : operation.extensions)
      if (const auto* way = handling(extension.key); way && way->key.name != "mock") return true;
  return false;
}

Result<std::unique_ptr<Handler>> Plan::handler_of(const contract::Operation& operation,
                                                  contract::Complaints& complaints) {
  const auto& settings = process_.settings;
  const Build build{contract(), operation, services_};
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
        complaints.push_back(complaint(contract(), operation, "two-handlers",
                                       "operation " + operation.id + " is answered by both `" +
                                           std::string(way->key.name) + "` and `" + std::string(found->key.name) + "`",
                                       "Keep one of them."));
        return nullptr;
      }
      way = found;
      options = extension.value;
    }
  if (const auto own = process_.handlers.find(operation.id); own != process_.handlers.end()) {
    if (!way) return std::make_unique<handler::Borrowed>(*own->second);
    complaints.push_back(complaint(
        contract(), operation, "two-handlers",
        "operation " + operation.id + " is answered by `" + std::string(way->key.name) + "` and by the program",
        "Keep one of them."));
    return nullptr;
  }
  if (way) return way->build(*options, build);
  if (settings.mock_unbound && mock) return mock->build(nothing, build);
  complaints.push_back(complaint(
      contract(), operation, "unbound-operation",
      "operation " + operation.id + " (" + operation.method + " " + operation.path + ") has nothing that answers it",
      "Give it `table`, `job` or `mock` in `x-plimsoll`, bind a handler in C++, or start with --mock-unbound."));
  return nullptr;
}

contract::Complaints Plan::build() {
  services_.database = process_.database.get();
  contract::Complaints complaints;
  if (!process_.settings.mock_all)
    for (const auto* each : handlings())
      if (each->provide) each->provide(contract(), services_, complaints);
  if (!complaints.empty()) return complaints;
  if (!process_.settings.mock_all)
    for (const auto* each : handlings())
      if (each->prepare) each->prepare(contract(), services_, complaints);
  // Advice is said, and refuses nothing.
  std::erase_if(complaints, [&](const contract::Complaint& each) {
    const bool advice = each.severity == contract::Complaint::Severity::warning;
    if (advice) remarks_.push_back(without_end(contract::Printer{}.text(each)));
    return advice;
  });
  if (!complaints.empty()) return complaints;
  std::vector<std::unique_ptr<Handler>> handlers;
  for (const auto& operation : contract().operations) {
    const auto before = complaints.size();
    auto handler = handler_of(operation, complaints);
    // Tables show what the schema of their rows allows; for all others it is seen to here.
    if (handler && *handler && !operation.extension("table"))
      handler = handler::hide_write_only(std::move(*handler), {contract(), operation, services_});
    if (!handler) {
      auto error = handler.error();
      if (!config::located(error.detail).at.line) error.detail = "operation " + operation.id + ": " + error.detail;
      complaints.push_back(complaint_of(error, contract(), operation, services_.deployment_file));
    } else if (!*handler && complaints.size() == before)
      complaints.push_back(complaint(contract(), operation, "unbound-operation",
                                     "operation " + operation.id + " has no handler", "Correct its `x-plimsoll`."));
    handlers.push_back(handler ? std::move(*handler) : nullptr);
  }
  for (const auto& [id, handler] : process_.handlers)
    if (std::ranges::none_of(contract().operations, [&](const auto& operation) { return operation.id == id; }))
      complaints.push_back({.code = "unknown-operation",
                            .file = contract().file,
                            .what = "the program binds operation " + id + ", which the contract does not have",
                            .remedy = "Correct the operationId in the program or in the contract."});
  if (!complaints.empty()) return told_once(std::move(complaints));
  site_ = std::make_unique<Site>(services_, documents_.contract);
  if (complaints = site_->operations(std::move(handlers)); complaints.empty()) complaints = mount();
  if (!complaints.empty()) return complaints;
  contract::Printer printer;
  for (const auto& warning : contract().warnings) remarks_.push_back(without_end(printer.text(warning)));
  if (!process_.settings.upstream.empty())
    remarks_.push_back("plimsoll: what the contract allows goes to " + process_.settings.upstream);
  remarks_.insert(remarks_.end(), services_.remarks->begin(), services_.remarks->end());
  return {};
}

namespace {

void add_page(contract::Complaints& complaints, Site& to, std::string path, std::unique_ptr<Handler> handler,
              std::string route = {}) {
  auto more = to.page(std::move(path), std::move(handler), std::move(route));
  complaints.insert(complaints.end(), more.begin(), more.end());
}

void add_health(contract::Complaints& complaints, Site& to, Health& health, Health::Audience audience) {
  for (const auto kind : {Health::Kind::health, Health::Kind::ready, Health::Kind::live})
    add_page(complaints, to, std::string(Health::path(kind)), health.handler(kind, audience));
}

}  // namespace

/// Of the operators' listener, which is served while the rest is being prepared.
contract::Complaints Plan::mount_management(ReloadDesk* desk) {
  static const std::shared_ptr<const contract::Contract> nothing = empty_contract();
  management_ = std::make_unique<Site>(services_, nothing);
  const std::string_view address = deployment().management;
  if (address.starts_with("127.") || address.starts_with("[::1]")) management_->only_local_names();
  auto complaints = management_->operations({});
  add_health(complaints, *management_, process_.health, Health::Audience::operators);
  add_page(complaints, *management_, "/metrics", metrics_page());
  const auto add = [&](std::string path, std::unique_ptr<Handler> handler, std::string allow) {
    auto more = management_->page(std::move(path), std::move(handler), {}, std::move(allow));
    complaints.insert(complaints.end(), more.begin(), more.end());
  };
  add("/log", log_level_page(), "GET, HEAD, PUT");
  add("/reload", reload_page(*desk), "POST");
  return complaints;
}

contract::Complaints Plan::mount() {
  contract::Complaints complaints;
  const auto add = [&](Site& to, std::string path, std::unique_ptr<Handler> handler, std::string route = {}) {
    add_page(complaints, to, std::move(path), std::move(handler), std::move(route));
  };
  add_health(complaints, *site_, process_.health, Health::Audience::callers);
  add(*site_, "/openapi.json", fixed("application/json", json::to_string(*contract().root)));
  constexpr auto kDocsPolicy =
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors "
      "'none'; base-uri 'none'";
  for (const auto& asset : handler::docs::assets()) {
    const auto path = asset.name == "index.html" ? std::string("/docs") : "/docs/" + std::string(asset.name);
    add(*site_, path, fixed(std::string(asset.media_type), std::string(asset.bytes), kDocsPolicy), "/docs");
  }
  constexpr auto kPagePolicy = "default-src 'none'; frame-ancestors 'none'";
  const auto table = problem_table(process_.problems);
  add(*site_, "/problems", fixed("text/html; charset=utf-8", problem_index(table), kPagePolicy));
  for (const auto& entry : table)
    add(*site_, "/problems/" + std::string(entry.problem->code),
        fixed("text/html; charset=utf-8", problem_page(entry), kPagePolicy), "/problems/{code}");
  return complaints;
}

}  // namespace plimsoll::server
