#include "plimsoll/server/problems.hpp"

#include "apps/plimsoll/commands.hpp"
#include "plimsoll/json/write.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

void print_table() {
  for (const auto& [problem, policies, handlers] : server::problem_table())
    std::printf("%3d %-26s %s\n", problem->status, std::string(problem->code).c_str(),
                std::string(problem->title).c_str());
}

void print_json() {
  std::string text;
  json::Writer out{text};
  const auto list = [&](std::string_view key, const std::vector<std::string_view>& names) {
    out.key(key).begin_array();
    for (const auto name : names) out.string(name);
    out.end_array();
  };
  out.begin_array();
  for (const auto& [problem, policies, handlers] : server::problem_table()) {
    out.begin_object().key("code").string(problem->code).key("status").integer(problem->status);
    out.key("title").string(problem->title).key("remedy").string(problem->remedy);
    out.key("retryable").boolean(problem->retryable);
    list("policies", policies);
    list("handlers", handlers);
    out.end_object();
  }
  out.end_array();
  std::puts(text.c_str());
}

Subcommand::Run declare(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "As JSON, with the remedy and the source of each");
  return [json] {
    *json ? print_json() : print_table();
    return 0;
  };
}

const Subcommand problems{"problems", "Lists every problem that a server can answer with, by code", declare};

}  // namespace
}  // namespace plimsoll::command
