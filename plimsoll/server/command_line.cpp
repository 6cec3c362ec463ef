#include "plimsoll/server/command_line.hpp"

#include "plimsoll/server/instance.hpp"

#include <CLI/CLI.hpp>

namespace plimsoll::server {

void add_contracts(CLI::App& app, Settings& settings, const std::string& sentence, bool required) {
  auto* option = app.add_option_function<std::vector<std::string>>(
      "CONTRACT",
      [&settings](const std::vector<std::string>& files) {
        settings.contract = files.front();
        settings.versions.assign(files.begin() + 1, files.end());
      },
      sentence);
  option->required(required);
}

void add_options(CLI::App& app, Settings& settings) {
  app.add_option("--config", settings.config,
                 "Deployment; without it plimsoll.yaml in the working directory, when there is one")
      ->type_name("FILE");
  app.add_option("--overlay", settings.overlays, "Overlay applied to the contract; may be given several times")
      ->type_name("FILE");
  app.add_option("--listen", settings.listen, "Address of the public listener; port 0 takes a free one")
      ->type_name("ADDR:PORT");
  app.add_option("--management", settings.management, "Address of metrics and health, or off")
      ->type_name("ADDR:PORT|off");
  app.add_flag("--mock-unbound", settings.mock_unbound, "Answer operations without a handler from their examples");
  app.add_flag("--watch", settings.watch, "Reload when a file of the contract or the deployment changes");
  app.add_flag("--allow-faults", settings.allow_faults,
               "Lets `plimsoll faults` make dependencies fail; for staging environments");
  app.add_flag("--dev", settings.development,
               "Development mode: generates keys and prints a token or key for each security scheme");
}

}  // namespace plimsoll::server
