#include "apps/plimsoll/commands.hpp"
#include "plimsoll/server/deployment.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

int explain(const std::string& file) {
  auto deployment = server::read_deployment(file);
  if (!deployment) return complain(deployment.error());
  std::string text;
  for (const auto& row : server::explain(*deployment)) {
    text += row.name + ": " + row.value + "\n  from:    " + row.origin + "\n  default: " + row.standard + "\n  " +
            row.sentence + "\n\n";
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

Subcommand::Run declare(CLI::App& app) {
  struct Options {
    std::string file;
    bool explain = false;
  };
  auto options = std::make_shared<Options>();
  app.add_option("--config", options->file,
                 "Deployment; without it plimsoll.yaml in the working directory, when there is one")
      ->type_name("FILE");
  app.add_flag("--explain", options->explain, "Each option: value, where it came from, default, sentence");
  return [options] {
    if (!options->explain) return complain("nothing to do", {}, "Say `plimsoll config --explain`.");
    return explain(options->file);
  };
}

const Subcommand config{"config", "Explains the deployment's options", declare};

}  // namespace
}  // namespace plimsoll::command
