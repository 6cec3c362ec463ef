#include "apps/plimsoll/commands.hpp"
#include "plimsoll/server/application.hpp"
#include "plimsoll/server/command_line.hpp"

#include <CLI/CLI.hpp>

namespace plimsoll::command {
namespace {

Subcommand::Run declare(CLI::App& app) {
  auto settings = std::make_shared<server::Settings>();
  settings->mock_all = true;
  server::add_contracts(app, *settings, "OpenAPI documents, YAML or JSON: one, or the versions of an API", true);
  app.add_option("--upstream", settings->upstream,
                 "Forward valid requests to this server, and validate its responses against the document")
      ->type_name("URL");
  app.add_option("--responses", settings->responses,
                 "What to do with invalid responses of that server; `responses` of the document overrides it")
      ->check(CLI::IsMember({"off", "shadow", "enforce"}))
      ->capture_default_str();
  app.add_flag("--strict", settings->strict,
               "Reject a faulty document, as `serve` does; without it faulty parts are left out with a warning");
  server::add_options(app, *settings);
  return [settings] { return Application{settings->contract}.serve(*settings); };
}

const Subcommand mock{"mock", "Answers every operation of a document with its examples or with generated data",
                      declare};

}  // namespace
}  // namespace plimsoll::command
