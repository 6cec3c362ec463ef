#include "apps/plimsoll/commands.hpp"
#include "plimsoll/server/application.hpp"
#include "plimsoll/server/command_line.hpp"

#include <CLI/CLI.hpp>

namespace plimsoll::command {
namespace {

Subcommand::Run declare(CLI::App& app) {
  auto settings = std::make_shared<server::Settings>();
  settings->mock_all = true;
  app.add_option("CONTRACT", settings->contract, "OpenAPI document, YAML or JSON")->required();
  server::add_options(app, *settings);
  return [settings] { return Application{settings->contract}.serve(*settings); };
}

const Subcommand mock{"mock", "Answers every operation of a document from its examples, or with data made up for it",
                      declare};

}  // namespace
}  // namespace plimsoll::command
