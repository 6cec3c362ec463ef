#include "plimsoll/server/generation.hpp"

#include "plimsoll/client/tunnel.hpp"
#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/handler/upstream/upstream.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/complaints.hpp"
#include "plimsoll/server/deployment.hpp"
#include "plimsoll/server/faults_page.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/html.hpp"
#include "plimsoll/server/learned_page.hpp"
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

void append(contract::Complaints& to, contract::Complaints more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

using Augment = std::function<void(contract::Draft&)>;

std::expected<std::shared_ptr<const contract::Contract>, contract::Complaints> load_contract(
    const std::string& file, const std::vector<std::string>& overlays, Augment more, bool tolerant) {
  const auto keys = contract_keys();
  const auto later = later_words();
  const auto sections = section_names();
  contract::LoadOptions options{.file = file,
                                .overlays = overlays,
                                .keys = keys,
                                .later_words = later,
                                .sections = sections,
                                .tolerant = tolerant};
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
    const std::string& file, const std::vector<std::string>& overlays, bool tolerant) {
  return load_contract(file, overlays, nullptr, tolerant);
}

std::expected<Documents, contract::Complaints> read_documents(const Settings& settings) {
  contract::Complaints all;
  std::vector<std::shared_ptr<const contract::Contract>> contracts;
  const auto read = [&](const std::string& file) {
    Augment more;
    if (!settings.upstream.empty()) more = [&](contract::Draft& draft) { say_responses(draft, settings.responses); };
    auto contract = load_contract(file, settings.overlays, std::move(more), settings.mock_all && !settings.strict);
    if (contract)
      contracts.push_back(std::move(*contract));
    else
      all.insert(all.end(), contract.error().begin(), contract.error().end());
  };
  std::vector<std::string> files{settings.contract};
  files.insert(files.end(), settings.versions.begin(), settings.versions.end());
  for (const auto& file : files) read(file);
  auto deployment = read_deployment(settings.config, files);
  if (!deployment) all.insert(all.end(), deployment.error().begin(), deployment.error().end());
  if (!all.empty()) return std::unexpected(std::move(all));
  if (!settings.listen.empty()) deployment->listen = settings.listen;
  if (!settings.management.empty()) deployment->management = settings.management;
  if (settings.mock_all) deployment->overlap = false;  // it would be given requests of the server at the same address
  return Documents{std::make_shared<const Deployment>(std::move(*deployment)), std::move(contracts)};
}

Generation::Generation(Process& process, Documents documents)
    : process_(process), documents_(std::move(documents)), services_(process.services()) {
  services_.deployment = deployment().root;
  services_.deployment_file = deployment().file.empty() ? "plimsoll.yaml" : deployment().file;
  use_ = std::shared_ptr<const void>(this, [unused = unused_](const void*) { unused->release(); });
  services_.in_use = use_;
  for (const auto& contract : documents_.contracts) services_.contracts.push_back(contract.get());
  auto versions = versions_of(documents_.contracts, ambiguous_);
  for (std::size_t i = 0; i < versions.size(); ++i)
    plans_.push_back(
        std::make_unique<Plan>(process_, services_, deployment(), documents_.contracts[i], std::move(versions[i])));
}
Generation::~Generation() { services_.backgrounds->stop(); }

void Generation::retire() {
  use_.reset();
  services_.backgrounds->retire();
  unused_->acquire();
}

bool Generation::end_tunnels() {
  const auto tunnels = services_.of_generation->of<client::Tunnels>();
  if (tunnels->empty()) return false;
  tunnels->end();
  return true;
}

std::shared_ptr<edge::Service> Generation::service() const {
  if (several()) return {use_, versions_.get()};
  return {use_, &plans_.front()->site()};
}

void Generation::remark(std::vector<std::string> sentences) {
  for (auto& each : sentences)  // several contracts may say the same
    if (std::ranges::find(remarks_, each) == remarks_.end()) remarks_.push_back(std::move(each));
}

contract::Complaints Generation::begin(ReloadDesk* desk) {
  const auto& settings = process_.settings;
  if (!ambiguous_.empty()) return ambiguous_;
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
      if (auto used = row.part->check ? row.part->check(services_.contracts, deployment().root) : Result<>{}; !used)
        complaints.push_back(complaint_of(used.error(), *documents_.contracts.front(), {}, deployment().file));
  std::vector<std::string_view> ids;
  for (const auto& contract : documents_.contracts)
    for (const auto& operation : contract->operations) ids.push_back(operation.id);
  for (const auto& [id, handler] : process_.handlers) {
    if (std::ranges::find(ids, id) != ids.end()) continue;
    const auto near = config::nearest(id, ids);
    complaints.push_back({.code = "unknown-operation",
                          .file = documents_.contracts.front()->file,
                          .what = "the program binds operation " + id +
                                  (several() ? ", which no contract has" : ", which the contract does not have") +
                                  (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"),
                          .remedy = "Correct the operationId in the program or in the contract."});
  }
  if (complaints.empty()) complaints = mount_management(desk);
  return complaints;
}

bool Generation::needs_database() const {
  return std::ranges::any_of(plans_, [](const auto& plan) { return plan->needs_database(); });
}

/// What the operations of all contracts share: the queue, the tables. One way of answering after the other, so that a
/// job can name a table of any contract.
contract::Complaints Generation::prepare() {
  contract::Complaints complaints;
  for (const auto* each : handlings())
    for (const auto& plan : plans_) {
      auto& services = plan->services();
      if (!services.queue) services.queue = plans_.front()->services().queue;
      if (each->provide) each->provide(plan->contract(), services, complaints);
    }
  if (!complaints.empty()) return told_once(std::move(complaints));
  const auto failed = [&] {
    return std::ranges::any_of(complaints,
                               [](auto& each) { return each.severity == contract::Complaint::Severity::error; });
  };
  for (const auto* each : handlings())
    for (const auto& plan : plans_) {
      if (each->prepare && !(several() && failed())) each->prepare(plan->contract(), plan->services(), complaints);
    }
  // Advice is said, and refuses nothing.
  std::erase_if(complaints, [&](const contract::Complaint& each) {
    const bool advice = each.severity == contract::Complaint::Severity::warning;
    if (advice) remark({without_end(contract::Printer{}.text(each))});
    return advice;
  });
  return complaints;
}

contract::Complaints Generation::build() {
  services_.database = process_.database.get();
  for (const auto& plan : plans_) plan->services().database = services_.database;
  if (!process_.settings.mock_all)
    if (auto complaints = prepare(); !complaints.empty()) return complaints;
  contract::Complaints complaints;
  for (const auto& plan : plans_) append(complaints, plan->build());
  if (complaints.empty() && several()) complaints = mount_front();
  if (!complaints.empty()) return complaints;
  contract::Printer printer;
  for (const auto& plan : plans_) {
    const auto [some, rest] = contract::shown(plan->contract().warnings);
    for (const auto* warning : some) remark({without_end(printer.text(*warning))});
    if (!rest.empty()) remark({without_end(rest) + "; `plimsoll lint` shows them all"});
  }
  if (!process_.settings.upstream.empty())
    remark({"plimsoll: valid requests are forwarded to " + process_.settings.upstream});
  remark(*services_.remarks);
  return {};
}

/// Of the operators' listener, which is served while the rest is being prepared.
contract::Complaints Generation::mount_management(ReloadDesk* desk) {
  management_ = std::make_unique<Site>(services_, empty_contract());
  const std::string_view address = deployment().management;
  if (address.starts_with("127.") || address.starts_with("[::1]")) management_->only_local_names();
  auto complaints = management_->operations({});
  add_health(complaints, *management_, process_.health, Health::Audience::operators);
  add_page(complaints, *management_, "/metrics", metrics_page());
  for (const auto& plan : plans_) {
    const auto& version = plan->version();
    const auto prefix = !several()               ? std::string{}
                        : version.header.empty() ? version.bases.front()
                                                 : Versions::pages_of(version);
    add_page(complaints, *management_, prefix + "/openapi.json",
             effective_page(plan->shared_contract(), plan->answering(), true));
  }
  add_page(complaints, *management_, "/log", log_level_page(), {}, "GET, HEAD, PUT");
  add_page(complaints, *management_, "/learned", learned_page(), {}, "GET, HEAD, DELETE");
  add_page(complaints, *management_, "/faults", faults_page(), {}, "GET, HEAD, POST, DELETE");
  add_page(complaints, *management_, "/reload", reload_page(*desk), {}, "POST");
  return complaints;
}

/// What belongs to no version.
contract::Complaints Generation::mount_front() {
  versions_ = std::make_unique<Versions>(plans_);
  front_ = std::make_unique<Site>(services_, empty_contract());
  versions_->front(*front_);
  front_->unmatched(versions_->unmatched());
  process_.redirect_to_https(*front_);
  auto complaints = front_->operations({});
  add_health(complaints, *front_, process_.health, Health::Audience::callers);
  add_problems(complaints, *front_, process_.problems, {});
  for (const auto* path : {"/versions", "/docs"})
    add_page(complaints, *front_, path, fixed("text/html; charset=utf-8", versions_->index(), html_page_policy()));
  if (versions_->has_pages())
    for (const auto& plan : plans_)
      if (const auto pages = Versions::pages_of(plan->version()); !pages.empty())
        append(complaints, plan->mount_pages(*front_, pages));
  return complaints;
}

}  // namespace plimsoll::server
