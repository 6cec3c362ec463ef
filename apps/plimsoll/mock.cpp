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
                 "Pass valid requests on to this server, and its answers back, held against the document")
      ->type_name("URL");
  app.add_option("--responses", settings->responses,
                 "What becomes of answers of that server which the document does not allow; its own `responses` wins")
      ->check(CLI::IsMember({"off", "shadow", "enforce"}))
      ->capture_default_str();
  app.add_flag("--strict", settings->strict,
               "Refuse a document with faults, as `serve` does; without it what is faulty is left out with a warning");
  server::add_options(app, *settings);
  return [settings] { return Application{settings->contract}.serve(*settings); };
}

const Subcommand mock{"mock", "Answers every operation of a document from its examples, or with data made up for it",
                      declare};

}  // namespace
}  // namespace plimsoll::command
