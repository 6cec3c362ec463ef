#include "plimsoll/contract/security.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/contract/fields.hpp"

#include <algorithm>

namespace plimsoll::contract {

using json::Type;
using json::Value;

void read_security_schemes(Compiled& made, Report& report) {
  const Trail top;
  const auto* schemes = made.root->at("components", "securitySchemes");
  if (!schemes || !schemes->is(Type::object)) return;
  const Trail components{&top, {"components"}};
  for (auto& member : schemes->object()) {
    const Trail at{&components, {"securitySchemes", member.key}};
    const auto& raw = made.resolve(member.value);
    SecurityScheme scheme{.name = std::string(member.key), .type = text_of(raw, "type"), .raw = &raw};
    const auto lacks = [&](std::string what, std::string_view field = {}) {
      const auto* named = field.empty() ? nullptr : raw.find(field);
      report.add(load_error::kInvalidSecurityScheme, named ? named : &member.value, at.pointer(),
                 "the security scheme \"" + scheme.name + "\" " + what);
    };
    if (scheme.type == "apiKey") {
      scheme.parameter = text_of(raw, "name");
      const auto in = text_of(raw, "in");
      if (scheme.parameter.empty()) lacks("has no `name`");
      if (in == "query")
        scheme.in = In::query;
      else if (in == "header")
        scheme.in = In::header;
      else if (in == "cookie")
        scheme.in = In::cookie;
      else
        lacks("must have `in`: query, header or cookie", "in");
    } else if (scheme.type == "http") {
      scheme.scheme = lowered(text_of(raw, "scheme"));
      if (scheme.scheme.empty()) lacks("has no `scheme`");
    } else if (scheme.type == "oauth2") {
      if (!raw.find("flows")) lacks("has no `flows`");
    } else if (scheme.type == "openIdConnect") {
      if (text_of(raw, "openIdConnectUrl").empty()) lacks("has no `openIdConnectUrl`");
    } else if (scheme.type != "mutualTLS" && !scheme.type.empty()) {  // that there is none has been said
      lacks("has the type \"" + scheme.type + "\"; apiKey, http, oauth2, openIdConnect and mutualTLS are known",
            "type");
    }
    made.security_schemes.push_back(std::move(scheme));
  }
}

std::vector<SecurityRequirement> read_security(const Value* list, const Compiled& made, const Trail& trail,
                                               Report& report) {
  std::vector<SecurityRequirement> out;
  if (!list || !list->is(Type::array)) return out;
  std::int64_t index = 0;
  for (auto& item : list->array()) {
    const Trail at{&trail, {"security", {}, index++}};
    auto& alternative = out.emplace_back();
    if (!item.is(Type::object))
      report.add(load_error::kWrongType, &item, at.pointer(), "a security requirement must be an object");
    for (auto& member : item.object()) {
      const auto scheme = std::ranges::find(made.security_schemes, member.key, &SecurityScheme::name);
      if (scheme == made.security_schemes.end()) {
        report.add(load_error::kUnknownSecurityScheme, member, at.pointer(),
                   "the security scheme \"" + std::string(member.key) + "\" is not declared");
        continue;
      }
      auto& needed = alternative.all.emplace_back(&*scheme);
      if (!member.value.is(Type::array))
        report.add(load_error::kWrongType, &member.value, at.pointer(), "the scopes must be a list of texts");
      for (auto& scope : member.value.array()) {
        if (scope.is(Type::string))
          needed.scopes.emplace_back(scope.string());
        else
          report.add(load_error::kWrongType, &scope, at.pointer(), "a scope must be text");
      }
    }
  }
  return out;
}

}  // namespace plimsoll::contract
