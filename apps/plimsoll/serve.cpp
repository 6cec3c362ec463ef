#include "apps/plimsoll/commands.hpp"
#include "plimsoll/server/application.hpp"
#include "plimsoll/server/command_line.hpp"

#include <CLI/CLI.hpp>

namespace plimsoll::command {
namespace {

Subcommand::Run declare(CLI::App& app) {
  auto settings = std::make_shared<server::Settings>();
  server::add_contracts(app, *settings, "OpenAPI documents, YAML or JSON: one, or the versions of an API", true);
  server::add_options(app, *settings);
  return [settings] { return Application{settings->contract}.serve(*settings); };
}

const Subcommand serve{"serve", "Serves an OpenAPI document", declare};

}  // namespace
}  // namespace plimsoll::command
