#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/database_path.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

struct Options {
  std::string database, config, to, from;
};

int back_up(const Options& options) {
  auto named = database_to_keep(options.database, options.config);
  if (!named) return complain(named.error());
  if (auto done = named->engine->back_up(named->place, options.to); !done) return complain(done.error());
  std::printf("copied %s to %s\n", database::shown(named->place.url).c_str(), options.to.c_str());
  return 0;
}

/// 1 where something is wrong: neither a mistake of the command line nor a fault that passes.
int verify(const Options& options) {
  auto named = database_to_keep(options.database, options.config);
  if (!named) return complain(named.error());
  const auto shown = database::shown(named->place.url);
  auto wrong = named->engine->verify(named->place);
  if (!wrong) return complain(wrong.error());
  for (auto& one : *wrong) std::printf("%s\n", one.c_str());
  if (!wrong->empty()) {
    complain(shown + " is damaged", {}, "Restore it from a backup; the lines above list the damage.");
    return 1;
  }
  std::printf("%s is sound\n", shown.c_str());
  return 0;
}

int restore(const Options& options) {
  auto named = database_to_keep(options.database, options.config, false);
  if (!named) return complain(named.error());
  auto kept = named->engine->restore(named->place, options.from);
  if (!kept) return complain(kept.error());
  const auto shown = database::shown(named->place.url);
  std::printf("restored %s from %s\n", shown.c_str(), options.from.c_str());
  if (!kept->empty()) std::printf("what was there is kept as %s\n", kept->c_str());
  return 0;
}

Subcommand::Run declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  auto common = [&](CLI::App* sub) {
    sub->add_option("--database", options->database, "The database, such as sqlite:shop.db");
    sub->add_option("--config", options->config, "Deployment that names the database")->type_name("FILE");
    return sub;
  };
  auto* backup = common(app.add_subcommand("backup", "Copies the database while it is used, and verifies the copy"));
  backup->add_option("TO", options->to, "File to write; it must not exist")->required();
  auto* check = common(app.add_subcommand("verify", "Reads the whole database and lists what is damaged"));
  auto* back = common(app.add_subcommand("restore",
                                         "Verifies a copy and puts it in the place of a database that "
                                         "no process uses; keeps what was there"));
  back->add_option("FROM", options->from, "File that `backup` has written")->required();
  return [=] { return check->parsed() ? verify(*options) : back->parsed() ? restore(*options) : back_up(*options); };
}

const Subcommand database{"database", "Copies, verifies or restores the database of a server", declare};

}  // namespace
}  // namespace plimsoll::command
