#include "apps/plimsoll/commands.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/server/keeper.hpp"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <vector>

namespace plimsoll::command {
namespace {

constinit const Subcommand* first = nullptr;

}  // namespace

Subcommand::Subcommand(const char* name, const char* sentence, Run (*declare)(CLI::App&))
    : name(name), sentence(sentence), declare(declare), next(std::exchange(first, this)) {}

const Subcommand* first_subcommand() { return first; }

int complain(std::string_view what, std::string_view where, std::string_view remedy) {
  std::string block = "plimsoll: " + std::string(what) + "\n";
  if (!where.empty()) block += "  where:  " + std::string(where) + "\n";
  if (!remedy.empty()) block += "  remedy: " + std::string(remedy) + "\n";
  std::fwrite(block.data(), 1, block.size(), stderr);
  return 2;
}

int complain(const Error& error) {
  const int status = complain(database::reason_of(error), {}, database::remedy_of(error));
  return error.retryable ? server::kTemporaryFailure : status;
}

}  // namespace plimsoll::command

namespace {

using namespace plimsoll::command;

/// What the parser would call missing, though it is there and unknown.
int unknown_command(std::string_view word, const std::vector<const Subcommand*>& all) {
  std::vector<std::string_view> names;
  for (auto* command : all) names.push_back(command->name);
  const auto near = plimsoll::config::nearest(word, names);
  return complain("there is no command \"" + std::string(word) + "\"" +
                      (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"),
                  {}, "`plimsoll --help` lists them.");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    CLI::App app{"Turns an OpenAPI document into a running HTTP API.", "plimsoll"};
    app.set_version_flag("--version", "plimsoll " PLIMSOLL_VERSION);
    app.require_subcommand(1);
    std::vector<const Subcommand*> all;
    for (auto* command = first_subcommand(); command; command = command->next) all.push_back(command);
    std::ranges::sort(all, {}, [](auto* command) { return std::string_view(command->name); });
    const auto word = argc > 1 ? std::string_view(argv[1]) : std::string_view{};
    if (!word.empty() && word[0] != '-' &&
        std::ranges::find(all, word, [](auto* each) { return std::string_view(each->name); }) == all.end())
      return unknown_command(word, all);
    int status = 0;
    for (auto* command : all) {
      auto* sub = app.add_subcommand(command->name, command->sentence);
      sub->callback([&status, run = command->declare(*sub)] { status = run(); });
    }
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : 2; }
    return status;
  } catch (const std::exception& error) {
    return complain(error.what(), {}, "This is a fault of the program; please report it.");
  }
}
