#include "plimsoll/base/letters.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/arguments.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace plimsoll::binding {
namespace {

using json::Shape;
using Names = std::vector<std::string_view>;

std::string quoted(std::string_view name) { return '"' + std::string(name) + '"'; }

/// `; did you mean "limit"?`, or which there are, or that there are none.
std::string suggestion(std::string_view wrong, const Names& known, std::string_view what) {
  if (known.empty()) return "; it declares no " + std::string(what);
  if (const auto near = config::nearest(wrong, known); !near.empty()) return "; did you mean " + quoted(near) + "?";
  std::string list;
  for (const auto name : known) list += (list.empty() ? "" : ", ") + std::string(name);
  return "; it declares " + list;
}

constexpr std::string_view name_of(Shape::Kind kind) {
  constexpr std::string_view names[] = {"any value", "a boolean", "an integer", "a number",
                                        "a string",  "an array",  "an object"};
  return names[static_cast<std::size_t>(kind)];
}

/// What a schema says, as far as it can be seen without a value.
struct Seen {
  std::set<std::string_view> types;  ///< empty: any
  std::map<std::string_view, const json::Value*> properties;
  std::set<std::string_view> required;
  const json::Value* items = nullptr;
  bool more = false;  ///< there are alternatives or further names: what is not seen may still be there
};

constexpr int kDeepest = 32;  // of schemas that refer to themselves

void look(const contract::Contract& contract, const json::Value& at, Seen& seen, int depth) {
  const auto& schema = contract.resolve(at);
  if (!schema.is(json::Type::object) || depth > kDeepest) return;
  if (const auto* type = schema.find("type")) {
    if (type->is(json::Type::string)) seen.types.insert(type->string());
    for (const auto& each : type->array()) seen.types.insert(each.string());
  }
  if (const auto* properties = schema.find("properties"))
    for (const auto& member : properties->object()) seen.properties.try_emplace(member.key, &member.value);
  if (const auto* required = schema.find("required"))
    for (const auto& name : required->array()) seen.required.insert(name.string());
  if (const auto* items = schema.find("items")) seen.items = items;
  for (const auto* word : {"oneOf", "anyOf", "if", "patternProperties", "dependentSchemas", "$dynamicRef"})
    if (schema.find(word)) seen.more = true;
  if (const auto* all = schema.find("allOf"))
    for (const auto& each : all->array()) look(contract, each, seen, depth + 1);
}

enum class Way : std::uint8_t { taken, given };  ///< of a request, of a response

bool fits(Shape::Kind kind, std::string_view type, Way way) {
  switch (kind) {
    case Shape::Kind::any: return true;
    case Shape::Kind::boolean: return type == "boolean";
    case Shape::Kind::integer: return type == "integer" || (way == Way::given && type == "number");
    case Shape::Kind::number: return type == "number" || (way == Way::taken && type == "integer");
    case Shape::Kind::string: return type == "string";
    case Shape::Kind::array: return type == "array";
    case Shape::Kind::object: return type == "object";
  }
  return false;
}

/// Holds a type of C++ against a schema: whatever the schema lets in must fit the type (a request), and what the type
/// can be must be let in (a response).
void compare(const contract::Contract& contract, const json::Value& schema, const Shape& shape, Way way,
             const std::string& where, Mistakes& mistakes, int depth = 0) {
  if (shape.kind == Shape::Kind::any || depth > kDeepest) return;
  Seen seen;
  look(contract, schema, seen, 0);
  if (!seen.types.empty()) {
    const auto other = std::ranges::find_if(seen.types, [&](auto type) {
      return type == "null" ? way == Way::taken && !shape.optional : !fits(shape.kind, type, way);
    });
    const bool one = std::ranges::any_of(seen.types, [&](auto type) { return fits(shape.kind, type, way); });
    if (way == Way::taken ? other != seen.types.end() : !one) {
      const auto type = way == Way::taken ? *other : *seen.types.begin();
      mistakes.push_back(where + (type == "null" ? " may be null: take a std::optional"
                                                 : " is of type " + std::string(type) + ", and the handler " +
                                                       (way == Way::taken ? "takes " : "gives ") +
                                                       std::string(name_of(shape.kind))));
      return;
    }
  }
  if (shape.items && seen.items) compare(contract, *seen.items, *shape.items, way, where + "/*", mistakes, depth + 1);
  if (shape.kind != Shape::Kind::object || seen.more || seen.properties.empty()) return;
  Names known;
  for (const auto& [name, value] : seen.properties) known.push_back(name);
  for (std::size_t i = 0; i < shape.count; ++i) {
    const auto& member = shape.members[i];
    const auto declared = seen.properties.find(member.name);
    if (declared == seen.properties.end()) {
      mistakes.push_back(where + " has no member " + quoted(member.name) + suggestion(member.name, known, "members"));
      continue;
    }
    const auto place = where + "/" + std::string(member.name);
    const bool required = seen.required.contains(member.name);
    if (way == Way::taken && !required && !member.shape->optional && member.shape->kind != Shape::Kind::any)
      mistakes.push_back(place + " may be absent: take a std::optional");
    else if (way == Way::given && required && member.shape->optional)
      mistakes.push_back(place + " is required, and the handler may leave it out: give it without std::optional");
    else
      compare(contract, *declared->second, *member.shape, way, place, mistakes, depth + 1);
  }
  if (way != Way::given) return;
  for (const auto name : seen.required)
    if (std::ranges::none_of(std::span(shape.members, shape.count), [&](auto& each) { return each.name == name; }))
      mistakes.push_back(where + "/" + std::string(name) + " is required, and the handler does not give it");
}

bool is_json(std::string_view media_type) {
  const auto essence = media_type.substr(0, media_type.find(';'));
  return essence == "application/json" || essence.ends_with("+json") || essence == "*/*" || essence == "application/*";
}

/// Whether a media type is one that the contract names, which may be a range: `text/*`.
bool covers(std::string_view declared, std::string_view given) {
  const auto essence = declared.substr(0, declared.find(';'));
  if (essence == given || essence == "*/*") return true;
  if (essence.ends_with("/*")) return given.starts_with(essence.substr(0, essence.size() - 1));
  return given == "application/json" && essence.ends_with("+json");
}

}  // namespace

std::size_t parameter(const Build& build, std::string_view name, const Shape& shape, Mistakes& mistakes) {
  const auto& all = build.operation.parameters;
  Names known;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& each = all[i];
    known.push_back(each.name);
    // Names of fields are compared without regard to case.
    if (each.name != name && !(each.in == contract::In::header && equal_ignoring_case(each.name, name))) continue;
    const auto where = "the parameter " + quoted(name);
    if (!each.required && !each.default_value && !shape.optional && shape.kind != Shape::Kind::any)
      mistakes.push_back(where + " may be absent: take a std::optional");
    else if (each.schema)
      compare(build.contract, *each.schema, shape, Way::taken, where, mistakes);
    return i;
  }
  mistakes.push_back("it has no parameter " + quoted(name) + suggestion(name, known, "parameters"));
  return all.size();
}

void body(const Build& build, const Shape& shape, Mistakes& mistakes) {
  const auto& declared = build.operation.body;
  if (!declared) return mistakes.push_back("it has no request body, and the handler takes one");
  if (!declared->required && !shape.optional)
    mistakes.push_back("its request body may be absent: take a JsonBody<std::optional<…>>, or declare it `required`");
  const auto* validate = build.operation.extension("validate");
  if (const auto* way = validate ? validate->find("body") : nullptr; way && way->string() == "stream")
    mistakes.push_back("`validate: {body: stream}` leaves its body to the handler: read Request::body, or remove it");
  bool json = false;
  for (const auto& type : declared->content) {
    if (!is_json(type.name) && type.name != "application/x-www-form-urlencoded") continue;
    json = true;
    if (type.schema) compare(build.contract, *type.schema, shape, Way::taken, "the request body", mistakes);
  }
  if (!json) mistakes.push_back("its request body is not JSON, and the handler takes JSON");
}

void answer(const Build& build, std::uint16_t status, std::string_view media_type, const Shape* shape,
            Mistakes& mistakes) {
  const auto exact = std::to_string(status), range = exact.substr(0, 1) + "XX";
  const contract::ResponseSpec* best = nullptr;
  std::string declared;
  for (const auto& each : build.operation.responses) {
    declared += (declared.empty() ? "" : ", ") + each.status;
    const bool nearer = each.status == exact || (each.status == range && !(best && best->status == exact)) ||
                        (each.status == "default" && !best);
    if (nearer) best = &each;
  }
  const auto what = "the handler answers " + exact;
  if (!best)
    return mistakes.push_back(what + ", which the contract does not declare" +
                              (declared.empty() ? std::string{} : "; it declares " + declared));
  if (best->content.empty()) return;  // the contract says nothing about the body
  if (media_type.empty()) return mistakes.push_back(what + " without a body, and the contract declares one");
  std::string types;
  bool covered = false;
  for (const auto& each : best->content) {
    types += (types.empty() ? "" : ", ") + each.name;
    if (!covers(each.name, media_type)) continue;
    covered = true;
    if (shape && each.schema)
      compare(build.contract, *each.schema, *shape, Way::given, "the body of " + exact, mistakes);
  }
  if (!covered)
    mistakes.push_back(what + " with " + std::string(media_type) +
                       ", which the contract does not declare; it declares " + types);
}

void role(const Build& build, std::string_view name, Mistakes& mistakes) {
  const auto* deployment = build.services.deployment;
  const auto* roles = deployment ? deployment->find("roles") : nullptr;
  if (!roles) return;  // they are whatever a token says
  if (roles->find(name)) return;
  Names known;
  for (const auto& member : roles->object()) known.push_back(member.key);
  auto said = suggestion(name, known, "roles");
  mistakes.push_back("the handler looks for the role " + quoted(name) + ", which `roles` of " +
                     build.services.deployment_file + " does not declare" + said);
}

void caller(const Build& build, Mistakes& mistakes) {
  const auto& security = build.operation.security;
  const bool anyone = security.empty() || std::ranges::any_of(security, [](auto& each) { return each.all.empty(); });
  if (anyone && !build.services.mock)
    mistakes.push_back(
        "the handler takes the caller (`const Principal&`), and the operation is for unauthenticated "
        "callers too: look at Context::principal, or declare `security`");
}

void database(const Build& build, Mistakes& mistakes) {
  if (!build.services.database) mistakes.push_back("the handler takes the database, and there is none");
}

void job(const Build& build, std::string_view kind, Mistakes& mistakes) {
  if (build.services.queue && build.services.queue->kind(kind)) return;
  Names known;
  if (const auto* jobs = build.services.deployment ? build.services.deployment->find("jobs") : nullptr)
    for (const auto& member : jobs->object()) known.push_back(member.key);
  if (build.services.runners)
    for (const auto& [name, runner] : *build.services.runners) known.push_back(name);
  const auto near = config::nearest(kind, known);
  mistakes.push_back("there is no job " + quoted(kind) +
                     (near.empty() ? ": declare it under `jobs` of " + build.services.deployment_file
                                   : "; did you mean " + quoted(near) + "?"));
}

bool has_role(const Context& context, std::string_view name) {
  return context.principal && std::ranges::find(context.principal->roles, name) != context.principal->roles.end();
}

Error invalid(std::string_view in, json::Misfit misfit) {
  std::vector<FieldError> fields{{std::string(in), std::move(misfit.pointer), "type", std::move(misfit.message)}};
  Error error{&http::kInvalid, summary(fields)};
  error.more().fields = std::move(fields);
  return error;
}

}  // namespace plimsoll::binding
