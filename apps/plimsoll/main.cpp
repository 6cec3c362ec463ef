#include "apps/plimsoll/commands.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/server/complaints.hpp"
#include "plimsoll/server/keeper.hpp"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <vector>

namespace plimsoll::command {
namespace {

constinit const Subcommand* first = nullptr;

constexpr Problem kSaid{"said", 500, "It has been said already", ""};

}  // namespace

Subcommand::Subcommand(const char* name, const char* sentence, Run (*declare)(CLI::App&))
    : name(name), sentence(sentence), declare(declare), next(std::exchange(first, this)) {}

const Subcommand* first_subcommand() { return first; }

int complain(const std::vector<contract::Complaint>& complaints) {
  contract::print(complaints);
  return 2;
}

int complain(std::string_view what, std::string_view where, std::string_view remedy) {
  return complain(
      {{.code = "command", .pointer = std::string(where), .what = std::string(what), .remedy = std::string(remedy)}});
}

std::unexpected<Error> said(const std::vector<contract::Complaint>& complaints) {
  contract::print(complaints);
  return fail(kSaid);
}

int complain(const Error& error) {
  if (error.problem == &kSaid) return 2;
  auto remedy = database::remedy_of(error);
  if (remedy == plimsoll::kInternal.remedy)  // which speaks to the callers of a server
    remedy = "Correct what it says, where that is possible; else it is a fault of the program, please report it.";
  complain(
      {{.code = std::string(error.problem->code), .what = database::reason_of(error), .remedy = std::move(remedy)}});
  return error.retryable ? server::kTemporaryFailure : 2;
}

}  // namespace plimsoll::command

namespace {

using namespace plimsoll::command;

/// The command that the words name, as far as they do: `plimsoll token issue`.
const CLI::App& named(const CLI::App& app, int argc, char** argv, std::string& words) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc; ++i) {
    const CLI::App* next = nullptr;
    for (const auto* sub : at->get_subcommands([](const CLI::App*) { return true; }))
      if (sub->get_name() == argv[i]) next = sub;
    if (!next) break;
    at = next;
    (words += ' ') += argv[i];
  }
  return *at;
}

/// The first of the words that the command does not expect, and one that it does.
std::string first_unexpected(const CLI::App& app, const std::vector<std::string>& rest) {
  auto word = rest.front();
  if (const auto equals = word.find('='); word.starts_with("--") && equals != word.npos) word.resize(equals);
  std::vector<std::string> known;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) known.push_back(sub->get_name());
  const std::vector<std::string_view> names(known.begin(), known.end());
  const auto near = plimsoll::config::nearest(word, names);
  return (word.starts_with('-') ? "there is no option " : "this is not expected: ") + word +
         (near.empty() ? "" : "; did you mean " + std::string(near) + "?");
}

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
    } catch (const CLI::ParseError& error) {
      if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
      std::string words = "plimsoll";
      const auto& at = named(app, argc, argv, words);
      auto rest = app.remaining(true);
      const bool unexpected = dynamic_cast<const CLI::ExtrasError*>(&error) && !rest.empty();
      return complain(unexpected ? first_unexpected(at, rest) : std::string(error.what()), {},
                      "`" + words + " --help` lists its options.");
    }
    return status;
  } catch (const std::exception& error) { return complain({plimsoll::server::complaint_of(error, "command")}); }
}
