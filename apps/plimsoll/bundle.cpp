#include "apps/plimsoll/commands.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/instance.hpp"
#include "plimsoll/server/words.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>

namespace plimsoll::command {
namespace {

struct Wishes {
  std::string contract;
  std::vector<std::string> overlays;
  bool effective = false;
};

auto load(const Wishes& wishes) {
  if (wishes.effective) return server::load_contract(wishes.contract, wishes.overlays);
  const auto keys = server::contract_keys();
  const auto later = server::later_words();
  return contract::load({.file = wishes.contract, .overlays = wishes.overlays, .keys = keys, .later_words = later});
}

Subcommand::Run declare(CLI::App& app) {
  auto wishes = std::make_shared<Wishes>();
  app.add_option("CONTRACT", wishes->contract, "OpenAPI document, YAML or JSON")->required();
  app.add_option("--overlay", wishes->overlays, "Overlay 1.0 laid over the document; may be repeated");
  app.add_flag("--effective", wishes->effective,
               "With what follows from x-plimsoll written out, as it is served at /openapi.json");
  return [wishes] {
    const auto loaded = load(*wishes);
    if (!loaded) {
      for (auto& complaint : loaded.error()) std::fprintf(stderr, "%s\n", contract::to_string(complaint).c_str());
      return 2;
    }
    const auto text = json::to_pretty_string(*(*loaded)->root) + "\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
  };
}

const Subcommand bundle{"bundle", "Prints a contract of several files as one, overlays applied", declare};

}  // namespace
}  // namespace plimsoll::command
