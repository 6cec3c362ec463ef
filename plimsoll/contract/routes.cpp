#include "plimsoll/contract/routes.hpp"

#include <algorithm>

namespace plimsoll::contract {
namespace {

class Routing {
 public:
  Routing(Compiled& made, std::span<const Route> routes, Report& report)
      : made_(made), routes_(routes), report_(report) {}

  void run() {
    made_.names.resize(made_.operations.size());
    for (auto& op : made_.operations) made_.by_id.emplace(op.id, op.index);
    if (made_.extension && made_.extension->find("undeclared")) made_.lookalikes = std::make_unique<Lookalikes>();
    for (auto& op : made_.operations) route(op);
    made_.router.finish();
    if (made_.lookalikes) made_.lookalikes->finish();
  }

 private:
  void route(Operation& op) {
    const auto& [bases, path, pointer, parameters_unread] = routes_[op.index];
    const auto& key = *path;
    const std::string template_text = op.path;
    auto& names = made_.names[op.index];
    if (template_text.find_first_of("#?") != template_text.npos) {
      op.reachable = false;
      report_.add(load_error::kUnreachablePath, key, pointer,
                  "no request can reach the path \"" + template_text + "\"");
    }
    bool first = true;
    for (auto& base : bases) {
      const auto whole = base + template_text;
      if (std::exchange(first, false)) op.path = whole;
      const auto added = template_text.starts_with('/')
                             ? (op.reachable ? made_.router : unreachable_).add(op.method, whole, &op, names)
                             : std::unexpected(Router::Refusal::malformed);
      if (!added) {
        refused(added.error(), op, key, pointer);
        op.reachable = false;
        return;
      }
      if (made_.lookalikes && op.reachable) made_.lookalikes->add(whole);
    }
    declared(op, key, names, parameters_unread);
  }

  void refused(Router::Refusal refusal, const Operation& op, const json::Member& key, const std::string& pointer) {
    const auto name = "the path \"" + std::string(key.key) + "\" ";
    switch (refusal) {
      case Router::Refusal::malformed:
        if (said_.insert(pointer).second)
          report_.add(load_error::kInvalidPath, key, pointer, name + "is not a valid path template");
        break;
      case Router::Refusal::duplicate_name:
        if (said_.insert(pointer).second)
          report_.add(load_error::kInvalidPath, key, pointer, name + "names a parameter twice");
        break;
      case Router::Refusal::adjacent:
        if (said_.insert(pointer).second)
          report_.add(load_error::kInvalidPath, key, pointer, name + "has two parameters with nothing between them",
                      "Put a character between them, so that the end of the first one is known.");
        break;
      case Router::Refusal::too_many:
        if (said_.insert(pointer).second) report_.add(load_error::kTooManyParameters, key, pointer);
        break;
      case Router::Refusal::ambiguous:
        if (op.reachable)
          report_.add(load_error::kAmbiguousPath, key, pointer,
                      op.method + " of " + name + "matches what another path of the document matches");
        break;
    }
  }

  /// What the template names and what is declared must be the same.
  void declared(Operation& op, const json::Member& key, const std::vector<std::string>& names, bool unread) {
    for (auto& name : names)
      if (!unread && std::ranges::none_of(op.parameters, [&](auto& p) { return p.in == In::path && p.name == name; }))
        report_.add(load_error::kUndeclaredPathParameter, key, op.pointer,
                    op.method + " " + std::string(key.key) + " does not declare the parameter {" + name + "}");
    for (auto& p : op.parameters)
      if (p.in == In::path && !contains(names, p.name))
        report_.add(load_error::kUnusedPathParameter, p.raw, op.pointer,
                    op.method + " " + std::string(key.key) + " has no {" + p.name + "} in its path");
    std::erase_if(op.parameters, [&](auto& p) { return p.in == In::path && !contains(names, p.name); });
  }

  Compiled& made_;
  std::span<const Route> routes_;
  Report& report_;
  Router unreachable_;  ///< finds what is wrong with templates that are not served
  std::set<std::string> said_;
};

}  // namespace

void add_routes(Compiled& made, std::span<const Route> routes, Report& report) { Routing{made, routes, report}.run(); }

}  // namespace plimsoll::contract
