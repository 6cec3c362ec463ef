#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/management_client.hpp"
#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/percent.hpp"
#include "plimsoll/json/parse.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

struct Options {
  std::string dependency, latency, status, share, span;
  bool reset = false, outage = false;
  Management management;
};

/// As it stands in a query.
std::string encoded(std::string_view text) {
  std::string out;
  append_encoded(out, text);
  return out;
}

int run(const Options& options, const std::string& target) {
  auto answer = ask(options.management, target, 5);
  if (!answer) return complain(answer.error());
  Arena arena;
  const auto parsed = json::parse(answer->body, arena);
  const auto* body = parsed ? &*parsed : nullptr;
  if (answer->status != 200 || !body) {
    return complain(refusal_of(*answer, body), {},
                    answer->status == 403 ? "Start it with --allow-faults, in a staging environment."
                                          : "`plimsoll faults add --help` lists the arguments.");
  }
  const auto* faults = body->find("faults");
  if (const auto* cleared = body->find("cleared"))
    std::printf("%s cleared\n", std::string(cleared->number_text()).c_str());
  if (!faults || faults->array().empty()) std::puts("no faults");
  if (faults)
    for (const auto& each : faults->array()) {
      const auto* left = each.find("seconds_left");
      std::printf("%s: %s, %s s left\n", text_of(&each, "dependency").c_str(), text_of(&each, "fault").c_str(),
                  left ? std::string(left->number_text()).c_str() : "?");
    }
  return 0;
}

int add(const Options& options) {
  auto target = "POST /faults?dependency=" + encoded(options.dependency) + "&for=" + encoded(options.span);
  if (!options.latency.empty()) target += "&latency=" + encoded(options.latency);
  if (!options.status.empty()) target += "&status=" + encoded(options.status);
  if (options.reset) target += "&reset";
  if (options.outage) target += "&outage";
  if (!options.share.empty()) target += "&share=" + encoded(options.share);
  return run(options, target);
}

Subcommand::Run declare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.require_subcommand(1);
  const auto common = [options](CLI::App* sub) {
    add_options(*sub, options->management);
    return sub;
  };
  auto* adding = common(app.add_subcommand("add", "Makes a dependency fail for a while"));
  adding->add_option("DEPENDENCY", options->dependency, "Its name: an upstream; `faults list` after a slip names all")
      ->required();
  adding->add_option("--for", options->span, "How long, such as 5m; at most 1h")->required();
  adding->add_option("--latency", options->latency, "Each call takes so much longer, such as 2s");
  adding->add_option("--status", options->status, "It answers with this status, such as 503");
  adding->add_flag("--reset", options->reset, "Its connections end before an answer");
  adding->add_flag("--outage", options->outage, "It cannot be reached");
  adding->add_option("--share", options->share, "The share of the calls, such as 10%; without it, all");
  auto* listing = common(app.add_subcommand("list", "Lists the faults that are in force"));
  auto* clearing = common(app.add_subcommand("clear", "Ends the faults of a dependency, or all"));
  clearing->add_option("DEPENDENCY", options->dependency, "Its name; without it, all faults end");
  return [=] {
    if (adding->parsed()) return add(*options);
    if (listing->parsed()) return run(*options, "GET /faults");
    return run(*options,
               "DELETE /faults" + (options->dependency.empty() ? "" : "?dependency=" + encoded(options->dependency)));
  };
}

const Subcommand faults{"faults", "Makes dependencies of a running staging server fail, for a while", declare};

}  // namespace
}  // namespace plimsoll::command
