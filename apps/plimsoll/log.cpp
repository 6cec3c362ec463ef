#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/management_client.hpp"
#include "plimsoll/base/arena.hpp"
#include "plimsoll/json/parse.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

struct Options {
  std::string level, span, management, config;
};

int run(const Options& options) {
  auto target = options.level.empty() ? std::string("GET /log") : "PUT /log?level=" + options.level;
  if (!options.span.empty()) target += "&for=" + options.span;
  auto answer = ask_management(options.management, options.config, target, 5);
  if (!answer) return complain(answer.error());
  Arena arena;
  const auto body = json::parse(answer->body, arena);
  const auto text = [&](std::string_view name) {
    const auto* found = body ? body->find(name) : nullptr;
    return found && found->is(json::Type::string) ? std::string(found->string()) : std::string{};
  };
  if (answer->status != 200)
    return complain(text("detail").empty() ? "the server answered " + std::to_string(answer->status) : text("detail"),
                    {}, "`plimsoll log --help` shows what can be said.");
  auto line = "log level: " + text("level");
  if (const auto span = text("for"); !span.empty()) line += " for " + span;
  std::puts(line.c_str());
  return 0;
}

const Subcommand log{"log", "Shows or changes the log level of a running server.", [](CLI::App& app) {
                       auto options = std::make_shared<Options>();
                       app.add_option("level", options->level,
                                      "debug, info, warning, error or off; without it, "
                                      "the level is shown")
                           ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
                       app.add_option("--for", options->span,
                                      "How long, such as 10m; afterwards the level before is back. Without it, until "
                                      "the server ends");
                       app.add_option("--management", options->management,
                                      "Address of the management listener; without it, that of plimsoll.yaml");
                       app.add_option("--config", options->config, "The deployment")->type_name("FILE");
                       return std::function<int()>([options] { return run(*options); });
                     }};

}  // namespace
}  // namespace plimsoll::command
