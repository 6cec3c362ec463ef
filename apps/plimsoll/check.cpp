#include "apps/plimsoll/commands.hpp"
#include "plimsoll/handler/table/prepare.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/command_line.hpp"
#include "plimsoll/server/instance.hpp"
#include "plimsoll/server/keeper.hpp"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

int refuse(const contract::Complaints& complaints, bool retryable) {
  complain(complaints);
  const auto errors =
      std::ranges::count(complaints, contract::Complaint::Severity::error, &contract::Complaint::severity);
  std::fprintf(stderr, "plimsoll: %td %s\n", errors, errors == 1 ? "error" : "errors");
  return retryable ? server::kTemporaryFailure : 2;
}

/// Without a contract: what can be said of the deployment alone.
int check_deployment(const std::string& file) {
  const auto deployment = server::read_deployment(file);
  if (!deployment) return refuse(deployment.error(), false);
  if (deployment->file.empty())
    return complain("no contract is given, and there is no deployment to check", {},
                    "Write `plimsoll check CONTRACT`.");
  std::printf("plimsoll: %s can be used\n", deployment->file.c_str());
  return 0;
}

/// What serves each read that the contracts allow of the tables that are there, as comments of SQL, and the statements
/// that are missing. 1 where some are.
int check_indexes(const server::Instance& instance) {
  if (!instance.services().database)
    return complain("there is no database to look at", {}, "Name one in the deployment: `database: {url: …}`.");
  std::size_t missing = 0;
  for (const auto& each : instance.served()) {
    std::vector<table::Wrong> wrong;
    const auto model = table::read_model(*each.contract.root, wrong);
    const auto uses = table::index_uses(*instance.services().database, model);
    if (!uses) return complain(uses.error());
    const table::Table* last = nullptr;
    for (const auto& use : *uses) {
      if (use.table != last) std::printf("-- table %s\n", use.table->name.c_str());
      last = use.table;
      const auto what = table::listed(use.uses);
      if (use.index.empty())
        std::printf("-- MISSING for %s:\n%s\n", what.c_str(), use.statement.c_str());
      else
        std::printf("-- %s: index %s\n", what.c_str(), use.index.c_str());
      missing += use.index.empty();
    }
  }
  if (missing > 0)
    std::fprintf(stderr, "plimsoll: %zu %s missing\n", missing, missing == 1 ? "index is" : "indexes are");
  return missing > 0 ? 1 : 0;
}

int check(server::Settings settings, bool database) {
  if (settings.contract.empty()) return check_deployment(settings.config);
  settings.quiet = settings.dry_run = true;
  auto made = server::Instance::read(settings, {}, {});
  if (!made) return refuse(made.error(), false);
  auto& instance = **made;
  auto complaints = instance.check_listeners();
  for (auto& more : instance.prepare()) complaints.push_back(std::move(more));
  if (!complaints.empty()) return refuse(complaints, instance.retryable());
  for (const auto& remark : instance.remarks()) std::fprintf(stderr, "%s\n", remark.c_str());
  if (database) return check_indexes(instance);
  for (const auto& each : instance.served()) {
    const auto operations = each.contract.operations.size();
    std::printf("plimsoll: %s %s would be served: %zu %s\n", each.contract.title.c_str(), each.contract.version.c_str(),
                operations, operations == 1 ? "operation" : "operations");
  }
  return 0;
}

Subcommand::Run declare(CLI::App& app) {
  auto settings = std::make_shared<server::Settings>();
  server::add_contracts(app, *settings,
                        "OpenAPI documents, YAML or JSON: one, or the versions of an API that are served together; "
                        "without any only the deployment is checked",
                        false);
  server::add_options(app, *settings);
  auto database = std::make_shared<bool>(false);
  app.add_flag("--database", *database,
               "Print which index of the database serves each filter, sort, embed, owner, tenant and foreign key, and "
               "the statements that make those that are missing; exit status 1 where some are");
  return [settings, database] { return check(*settings, *database); };
}

const Subcommand command{"check", "Reports every error that `serve` would reject, without serving", declare};

}  // namespace
}  // namespace plimsoll::command
