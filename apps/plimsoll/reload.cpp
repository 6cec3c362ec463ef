#include "plimsoll/server/reload.hpp"
#include "apps/plimsoll/commands.hpp"
#include "apps/plimsoll/management_client.hpp"
#include "plimsoll/base/arena.hpp"
#include "plimsoll/json/parse.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

namespace plimsoll::command {
namespace {

std::vector<std::string> names_of(const json::Value* list) {
  std::vector<std::string> names;
  if (list && list->is(json::Type::array))
    for (const auto& each : list->array())
      if (each.is(json::Type::string)) names.emplace_back(each.string());
  return names;
}

int run(const Management& management) {
  constexpr int kPatience = 70;  // the server answers within 60 s
  auto answer = ask(management, "POST /reload", kPatience);
  if (!answer) return complain(answer.error());
  Arena arena;
  const auto parsed = json::parse(answer->body, arena);
  const auto* body = parsed ? &*parsed : nullptr;
  if (answer->status != 200 || !body)
    return complain(refusal_of(*answer, body), {},
                    "The previous contract stays in force; correct the error and reload again.");
  const auto* changed = body->find("changed");
  std::puts(changed && changed->is(json::Type::boolean) && changed->boolean() ? "reloaded"
                                                                              : "reloaded; nothing changed");
  const auto* operations = body->find("operations");
  for (const char* how : {"added", "removed", "changed"})
    if (const auto names = names_of(operations ? operations->find(how) : nullptr); !names.empty())
      std::printf("%s: %s\n", how, server::in_short(names).c_str());
  const auto* listeners = body->find("listeners");
  for (const char* how : {"opened", "closed"})
    if (const auto addresses = names_of(listeners ? listeners->find(how) : nullptr); !addresses.empty())
      std::printf("listeners %s: %s\n", how, server::in_short(addresses).c_str());
  if (const auto keys = names_of(body->find("needs-restart")); !keys.empty())
    std::printf("changed, and used from the next start on: %s\n", server::in_short(keys).c_str());
  return 0;
}

const Subcommand reload{"reload", "Reloads the contract and the deployment of a running server", [](CLI::App& app) {
                          auto management = std::make_shared<Management>();
                          add_options(app, *management);
                          return std::function<int()>([management] { return run(*management); });
                        }};

}  // namespace
}  // namespace plimsoll::command
