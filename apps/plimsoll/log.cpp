#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/management_client.hpp"
#include "plimsoll/base/arena.hpp"
#include "plimsoll/json/parse.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

struct Options {
  std::string level, span;
  Management management;
};

int run(const Options& options) {
  auto target = options.level.empty() ? std::string("GET /log") : "PUT /log?level=" + options.level;
  if (!options.span.empty()) target += "&for=" + options.span;
  auto answer = ask(options.management, target, 5);
  if (!answer) return complain(answer.error());
  Arena arena;
  const auto parsed = json::parse(answer->body, arena);
  const auto* body = parsed ? &*parsed : nullptr;
  if (answer->status != 200)
    return complain(refusal_of(*answer, body), {}, "`plimsoll log --help` lists the arguments.");
  auto line = "log level: " + text_of(body, "level");
  if (const auto span = text_of(body, "for"); !span.empty()) line += " for " + span;
  std::puts(line.c_str());
  return 0;
}

const Subcommand log{
    "log", "Shows or changes the log level of a running server", [](CLI::App& app) {
      auto options = std::make_shared<Options>();
      app.add_option("level", options->level,
                     "debug, info, warning, error or off; without it, "
                     "the level is shown")
          ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
      app.add_option("--for", options->span,
                     "How long, such as 10m; then the previous level is restored. Without it, until the server stops");
      add_options(app, options->management);
      return std::function<int()>([options] { return run(*options); });
    }};

}  // namespace
}  // namespace plimsoll::command
