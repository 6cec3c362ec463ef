#include "apps/plimsoll/commands.hpp"
#include "plimsoll/server/deployment.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

/// `changed`: only what the deployment sets to something else than the default.
int explain(const std::string& file, bool changed) {
  auto deployment = server::read_deployment(file);
  if (!deployment) return complain(deployment.error());
  std::string text;
  for (const auto& row : server::explain(*deployment)) {
    if (changed && (row.origin == "default" || row.value == row.standard)) continue;
    text += row.name + ": " + row.value + "\n  from:    " + row.origin + "\n  default: " + row.standard + "\n  " +
            row.sentence + "\n\n";
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

Subcommand::Run declare(CLI::App& app) {
  struct Options {
    std::string file;
    bool explain = false, changed = false;
  };
  auto options = std::make_shared<Options>();
  app.add_option("--config", options->file,
                 "Deployment; without it plimsoll.yaml in the working directory, when there is one")
      ->type_name("FILE");
  app.add_flag("--explain", options->explain, "Each option with its value, source, default and description");
  app.add_flag("--changed", options->changed, "Only the options that are not at their defaults");
  return [options] {
    if (!options->explain && !options->changed)
      return complain(
          "nothing to do", {},
          "Use `plimsoll config --explain`, or `--changed` for the options that are not at their defaults.");
    return explain(options->file, options->changed);
  };
}

const Subcommand config{"config", "Explains the deployment's options", declare};

}  // namespace
}  // namespace plimsoll::command
