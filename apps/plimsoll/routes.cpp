#include "apps/plimsoll/commands.hpp"
#include "plimsoll/contract/complaint.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/instance.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>

namespace plimsoll::command {
namespace {

std::string answered_by(const contract::Operation& operation) {
  for (auto& extension : operation.extensions)
    if (server::handling(extension.key)) return std::string(extension.key);
  return "c++";
}

std::string security_of(const contract::Operation& operation) {
  std::string text;
  for (auto& alternative : operation.security) {
    if (!text.empty()) text += " or ";
    if (alternative.all.empty()) text += "anyone";
    bool first = true;
    for (auto& needed : alternative.all) {
      text += (std::exchange(first, false) ? "" : "+") + needed.scheme->name;
      if (needed.scopes.empty()) continue;
      text += "(";
      for (auto& scope : needed.scopes) text += (text.ends_with('(') ? "" : " ") + scope;
      text += ")";
    }
  }
  return text.empty() ? "none" : text;
}

void print_table(const contract::Contract& contract, bool named) {
  if (named) std::printf("%s: %s %s\n", contract.file.c_str(), contract.title.c_str(), contract.version.c_str());
  std::size_t path = 4, id = 9;
  for (auto& op : contract.operations) path = std::max(path, op.path.size()), id = std::max(id, op.id.size());
  path = std::min<std::size_t>(path, 72), id = std::min<std::size_t>(id, 40);
  std::printf("%-7s %-*s %-*s %-9s %s\n", "METHOD", static_cast<int>(path), "PATH", static_cast<int>(id), "OPERATION",
              "ANSWERED", "SECURITY");
  for (auto& op : contract.operations)
    std::printf("%-7s %-*s %-*s %-9s %s%s\n", op.method.c_str(), static_cast<int>(path), op.path.c_str(),
                static_cast<int>(id), op.id.c_str(), answered_by(op).c_str(), security_of(op).c_str(),
                op.reachable ? "" : "  (unreachable)");
}

void write_json(json::Writer& out, const contract::Contract& contract, bool named) {
  for (auto& op : contract.operations) {
    out.begin_object();
    if (named) out.key("contract").string(contract.file).key("version").string(contract.version);
    out.key("method").string(op.method).key("path").string(op.path).key("operation").string(op.id);
    out.key("answered_by").string(answered_by(op)).key("security").string(security_of(op));
    out.key("reachable")
        .boolean(op.reachable)
        .key("deprecated")
        .boolean(op.deprecated)
        .key("pointer")
        .string(op.pointer);
    out.end_object();
  }
}

Subcommand::Run declare(CLI::App& app) {
  struct Wishes {
    std::vector<std::string> contracts, overlays;
    bool json = false, strict = false;
  };
  auto wishes = std::make_shared<Wishes>();
  app.add_option("CONTRACT", wishes->contracts, "OpenAPI documents, YAML or JSON")->required();
  app.add_option("--overlay", wishes->overlays, "Overlay applied to the document; may be repeated");
  app.add_flag("--json", wishes->json, "As JSON");
  app.add_flag("--strict", wishes->strict,
               "Stop at faults, as `serve` does; without it faults are warnings and the rest is listed");
  return [wishes] {
    const bool named = wishes->contracts.size() > 1;
    std::string text;
    json::Writer out{text};
    out.begin_array();
    for (const auto& file : wishes->contracts) {
      const auto loaded = server::load_contract(file, wishes->overlays, !wishes->strict);
      if (!loaded) return complain(loaded.error());
      contract::print((*loaded)->warnings);
      wishes->json ? write_json(out, **loaded, named) : print_table(**loaded, named);
    }
    out.end_array();
    if (wishes->json) std::puts(text.c_str());
    return 0;
  };
}

const Subcommand routes{"routes", "Lists the operations of a contract, with their paths and handlers", declare};

}  // namespace
}  // namespace plimsoll::command
