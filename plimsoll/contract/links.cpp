#include "plimsoll/contract/links.hpp"

#include "plimsoll/http/characters.hpp"

#include <map>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

/// `header.token`, `query.name`, `path.name`, `body` or `body#/pointer`.
bool is_source(std::string_view text) {
  if (text.starts_with("header.")) return is_token(text.substr(7));
  if (text.starts_with("query.")) return text.size() > 6;
  if (text.starts_with("path.")) return text.size() > 5;
  return text == "body" || text == "body#" || text.starts_with("body#/");
}

class Links {
 public:
  Links(const Compiled& made, Report& report) : made_(made), report_(report) {
    for (const auto& operation : made.operations) {
      served_.insert(operation.raw);
      if (const auto* id = operation.raw->find("operationId"); id && id->is(Type::string)) names_.insert(id->string());
    }
    taken_ = names_;
  }

  void walk(const Value& value, Kind kind, const Trail& trail, bool served) {
    if (kind == Kind::schema || (value.find("$ref") && kind != Kind::path_item)) return;
    if (kind == Kind::link) link(value, trail);
    if (kind == Kind::callback) callback(value, trail);
    if (kind == Kind::operation && !served) name(value, trail);
    for_each_child(value, kind, [&](const Value& child, Kind of, const Step& step) {
      const Trail here{&trail, step};
      const bool aside = of == Kind::callback || step.field == "webhooks" || kind == Kind::components;
      walk(child, of, here, served && !aside);
    });
  }

 private:
  /// Those that paths lead to were compared while they were compiled.
  void name(const Value& operation, const Trail& trail) {
    if (served_.contains(&operation)) return;
    const auto* id = operation.find("operationId");
    if (id && id->is(Type::string) && !taken_.insert(id->string()).second)
      report_.add(load_error::kDuplicateOperationId, id, trail.pointer() + "/operationId",
                  "another operation is called \"" + std::string(id->string()) + "\" too");
  }

  void link(const Value& link, const Trail& trail) {
    const auto *id = link.find("operationId"), *reference = link.find("operationRef");
    if (!id == !reference)
      report_.add(load_error::kInvalidLink, &link, trail.pointer(),
                  id ? "the link has both `operationId` and `operationRef`"
                     : "the link has neither `operationId` nor `operationRef`");
    else if (id && id->is(Type::string) && !names_.contains(id->string()))
      report_.add(load_error::kInvalidLink, id, trail.pointer() + "/operationId",
                  "the link leads to the operation \"" + std::string(id->string()) + "\", which is not there");
    else if (reference && !leads_somewhere(*reference))
      report_.add(load_error::kInvalidLink, reference, trail.pointer() + "/operationRef",
                  "the link leads to \"" + std::string(reference->string()) + "\", which is not there");
    if (const auto* parameters = link.find("parameters"))
      for (const auto& member : parameters->object()) expression(member.value, trail, "/parameters");
    if (const auto* body = link.find("requestBody")) expression(*body, trail, "/requestBody");
  }

  bool leads_somewhere(const Value& reference) const {
    if (!reference.is(Type::string) || !reference.string().starts_with('#') || reference.source() != 0) return true;
    json::Member member{"$ref", reference};
    return dereference(*made_.root, Value::object({&member, 1})) != nullptr;
  }

  /// What begins with a dollar is meant as one; anything else is a constant.
  void expression(const Value& value, const Trail& trail, std::string_view below) {
    if (!value.is(Type::string) || !value.string().starts_with('$') || is_runtime_expression(value.string())) return;
    report_.add(load_error::kInvalidLink, &value, trail.pointer() + std::string(below),
                "\"" + std::string(value.string()) + "\" is not a runtime expression");
  }

  /// A key is an expression, or a URL with expressions in braces.
  void callback(const Value& callback, const Trail& trail) {
    for (const auto& member : callback.object()) {
      if (member.key.starts_with("x-") || is_runtime_expression(member.key)) continue;
      auto rest = member.key;
      bool good = !rest.empty() && !rest.starts_with('$');
      for (auto open = rest.find('{'); good && open != rest.npos; open = rest.find('{')) {
        const auto close = rest.find('}', open);
        good = close != rest.npos && is_runtime_expression(rest.substr(open + 1, close - open - 1));
        if (good) rest.remove_prefix(close + 1);
      }
      if (!good)
        report_.add(load_error::kInvalidCallback, member, trail.pointer(),
                    "\"" + std::string(member.key) + "\" is neither a URL nor a runtime expression");
    }
  }

  const Compiled& made_;
  Report& report_;
  std::set<const Value*> served_;
  std::set<std::string_view> names_, taken_;  // of what is served, and of all that were met
};

}  // namespace

bool is_runtime_expression(std::string_view text) {
  if (text == "$url" || text == "$method" || text == "$statusCode") return true;
  if (text.starts_with("$request.")) return is_source(text.substr(9));
  return text.starts_with("$response.") && is_source(text.substr(10));
}

void check_links(const Compiled& made, Report& report) {
  Links{made, report}.walk(*made.root, Kind::document, {}, true);
}

}  // namespace plimsoll::contract
