#include "apps/plimsoll/commands.hpp"
#include "plimsoll/queue/workers.hpp"
#include "plimsoll/server/command_line.hpp"
#include "plimsoll/server/instance.hpp"
#include "plimsoll/server/keeper.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

int refuse(const contract::Complaints& complaints, bool retryable) {
  complain(complaints);
  std::fprintf(stderr, "plimsoll: %zu %s\n", complaints.size(), complaints.size() == 1 ? "error" : "errors");
  return retryable ? server::kTemporaryFailure : 2;
}

/// Without a contract: what can be said of the deployment alone.
int check_deployment(const std::string& file) {
  const auto deployment = server::read_deployment(file);
  if (!deployment) return refuse(deployment.error(), false);
  if (deployment->file.empty())
    return complain("there is no contract and no deployment to check", {}, "Write `plimsoll check CONTRACT`.");
  std::printf("plimsoll: %s can be used\n", deployment->file.c_str());
  return 0;
}

int check(server::Settings settings) {
  if (settings.contract.empty()) return check_deployment(settings.config);
  settings.quiet = settings.dry_run = true;
  auto made = server::Instance::read(settings, {}, {});
  if (!made) return refuse(made.error(), false);
  auto& instance = **made;
  auto complaints = instance.check_listeners();
  for (auto& more : instance.prepare()) complaints.push_back(std::move(more));
  if (!complaints.empty()) return refuse(complaints, instance.retryable());
  for (const auto& remark : instance.remarks()) std::fprintf(stderr, "%s\n", remark.c_str());
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
  return [settings] { return check(*settings); };
}

const Subcommand command{"check", "Reports every error that `serve` would reject, without serving", declare};

}  // namespace
}  // namespace plimsoll::command
