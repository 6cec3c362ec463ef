#include "plimsoll/schema/metaschema.hpp"

#include "plimsoll/json/parse.hpp"

#include <map>
#include <memory>
#include <string>

namespace plimsoll::schema {
namespace {

/// A vocabulary's own part of the metaschema: what each of its keywords may hold (JSON Schema 2020-12, Core and
/// Validation). `S` stands for a subschema, `A`, `M` for a list and a map of them.
struct Part {
  std::string_view name, properties, definitions;
};

constexpr Part kParts[] = {
    {"core",
     R"("$id":{"type":"string","format":"uri-reference","pattern":"^[^#]*#?$"},
        "$schema":{"type":"string","format":"uri"},
        "$ref":{"type":"string","format":"uri-reference"},
        "$anchor":{"$ref":"#/$defs/anchor"},
        "$dynamicRef":{"type":"string","format":"uri-reference"},
        "$dynamicAnchor":{"$ref":"#/$defs/anchor"},
        "$vocabulary":{"type":"object","propertyNames":{"type":"string","format":"uri"},"additionalProperties":{"type":"boolean"}},
        "$comment":{"type":"string"},
        "$defs":M)",
     R"("anchor":{"type":"string","pattern":"^[A-Za-z_][-A-Za-z0-9._]*$"})"},
    {"applicator",
     R"("prefixItems":A,"items":S,"contains":S,"additionalProperties":S,"properties":M,
        "patternProperties":{"type":"object","additionalProperties":S,"propertyNames":{"format":"regex"}},
        "dependentSchemas":M,"propertyNames":S,"if":S,"then":S,"else":S,"allOf":A,"anyOf":A,"oneOf":A,"not":S)",
     ""},
    {"unevaluated", R"("unevaluatedItems":S,"unevaluatedProperties":S)", ""},
    {"validation",
     R"("type":{"anyOf":[{"$ref":"#/$defs/name"},{"type":"array","items":{"$ref":"#/$defs/name"},"minItems":1,"uniqueItems":true}]},
        "const":true,"enum":{"type":"array"},
        "multipleOf":{"type":"number","exclusiveMinimum":0},
        "maximum":{"type":"number"},"exclusiveMaximum":{"type":"number"},
        "minimum":{"type":"number"},"exclusiveMinimum":{"type":"number"},
        "maxLength":{"$ref":"#/$defs/count"},"minLength":{"$ref":"#/$defs/count"},
        "pattern":{"type":"string","format":"regex"},
        "maxItems":{"$ref":"#/$defs/count"},"minItems":{"$ref":"#/$defs/count"},"uniqueItems":{"type":"boolean"},
        "maxContains":{"$ref":"#/$defs/count"},"minContains":{"$ref":"#/$defs/count"},
        "maxProperties":{"$ref":"#/$defs/count"},"minProperties":{"$ref":"#/$defs/count"},
        "required":{"$ref":"#/$defs/names"},
        "dependentRequired":{"type":"object","additionalProperties":{"$ref":"#/$defs/names"}})",
     R"("count":{"type":"integer","minimum":0},
        "name":{"enum":["array","boolean","integer","null","number","object","string"]},
        "names":{"type":"array","items":{"type":"string"},"uniqueItems":true})"},
    {"meta-data",
     R"("title":{"type":"string"},"description":{"type":"string"},"default":true,"deprecated":{"type":"boolean"},
        "readOnly":{"type":"boolean"},"writeOnly":{"type":"boolean"},"examples":{"type":"array"})",
     ""},
    {"format-annotation", R"("format":{"type":"string"})", ""},
    {"format-assertion", R"("format":{"type":"string"})", ""},
    {"content", R"("contentEncoding":{"type":"string"},"contentMediaType":{"type":"string"},"contentSchema":S)", ""},
};

constexpr std::string_view kBase = "https://json-schema.org/draft/2020-12/";

void append_expanded(std::string& out, std::string_view properties) {
  constexpr std::string_view kSchema = R"({"$dynamicRef":"#meta"})";
  for (std::size_t i = 0; i < properties.size(); ++i) {
    const char before = i > 0 ? properties[i - 1] : '\0', c = properties[i];
    if (before != ':' || (c != 'S' && c != 'A' && c != 'M')) {
      out += c;
    } else if (c == 'S') {
      out += kSchema;
    } else if (c == 'A') {
      out.append(R"({"type":"array","minItems":1,"items":)").append(kSchema).append("}");
    } else {
      out.append(R"({"type":"object","additionalProperties":)").append(kSchema).append("}");
    }
  }
}

std::string head(std::string_view path, std::string_view vocabularies) {
  std::string out = R"({"$schema":"https://json-schema.org/draft/2020-12/schema","$id":")";
  out.append(kBase).append(path).append(R"(","$vocabulary":{)").append(vocabularies);
  return out.append(R"(},"$dynamicAnchor":"meta","type":["object","boolean"],)");
}

std::string vocabulary(std::string_view name) {
  return '"' + std::string(kBase) + "vocab/" + std::string(name) + "\":true";
}

std::string part_text(const Part& part) {
  std::string out = head("meta/" + std::string(part.name), vocabulary(part.name)) + "\"properties\":{";
  append_expanded(out, part.properties);
  out += '}';
  if (!part.definitions.empty()) out.append(",\"$defs\":{").append(part.definitions).append("}");
  return out + '}';
}

std::string whole_text() {
  std::string vocabularies, parts;
  for (const auto& part : kParts) {
    if (part.name == "format-assertion") continue;
    if (!vocabularies.empty()) vocabularies += ',', parts += ',';
    vocabularies += vocabulary(part.name);
    parts.append(R"({"$ref":"meta/)").append(part.name).append("\"}");
  }
  return head("schema", vocabularies) + "\"allOf\":[" + parts +
         R"(],"properties":{"definitions":{"type":"object","additionalProperties":{"$dynamicRef":"#meta"}},
            "dependencies":{"type":"object","additionalProperties":{"anyOf":[{"$dynamicRef":"#meta"},{"type":"array","items":{"type":"string"},"uniqueItems":true}]}}}})";
}

struct Library {
  Arena arena;
  std::map<std::string, json::Value, std::less<>> schemas;

  Library() {
    add("schema", whole_text());
    for (const auto& part : kParts) add("meta/" + std::string(part.name), part_text(part));
  }
  void add(const std::string& path, const std::string& text) {
    if (auto value = json::parse(arena.keep(text), arena)) schemas[std::string(kBase) + path] = *value;
  }
};

}  // namespace

const json::Value* find_metaschema(std::string_view uri) {
  static const Library library;
  const auto found = library.schemas.find(uri);
  return found == library.schemas.end() ? nullptr : &found->second;
}

}  // namespace plimsoll::schema
