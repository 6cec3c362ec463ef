#include "plimsoll/server/reference.hpp"

#include "plimsoll/contract/structure.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/server/chain.hpp"
#include "plimsoll/server/deployment.hpp"
#include "plimsoll/server/handlers.hpp"
#include "plimsoll/server/words.hpp"

#include <algorithm>
#include <cctype>

namespace plimsoll::server {
namespace {

using config::Field;
using json::Type;
using json::Value;

std::string quoted(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

/// A key of the contract or a section of the deployment, whoever declares it.
struct Group {
  struct Options {
    std::span<const Field> fields;
    const void* defaults = nullptr;
  };
  std::string_view name, sentence, short_form, example;
  std::vector<Options> options;
  config::Scopes scopes = config::Scopes::any;
  config::Methods methods = config::Methods::any;
  bool policy = false;  ///< takes `mode` and `off`
  bool named = false;   ///< other members have names of the user's own
  Options entries{};
  std::string_view entry_schema{};
};

Group group_of(const config::Key& key, bool policy) {
  Group made{.name = key.name, .sentence = key.sentence, .short_form = key.short_form, .example = key.example};
  if (const auto fields = key.options(); !fields.empty())
    made.options.push_back({fields, key.defaults ? key.defaults() : nullptr});
  made.scopes = key.scopes, made.methods = key.methods, made.policy = policy;
  made.named = key.entries != nullptr;
  if (key.entries) made.entries = {key.entries(), key.entry_defaults ? key.entry_defaults() : nullptr};
  made.entry_schema = key.entry_schema;
  return made;
}

/// Those of `x-plimsoll`, by name. What has no example is none that anybody writes.
std::vector<Group> contract_groups() {
  std::vector<Group> groups;
  for (const auto* key : contract_keys())
    if (!key->example.empty())
      groups.push_back(group_of(*key, std::ranges::any_of(rows(), [&](auto& row) { return &row.part->key == key; })));
  std::ranges::sort(groups, {}, &Group::name);
  return groups;
}

std::vector<Group> deployment_groups() {
  std::vector<Group> groups;
  for (const auto& section : built_in_sections()) {
    const auto known = std::ranges::find(groups, section.name, &Group::name);
    if (known != groups.end()) {
      known->options.push_back({section.options(), section.defaults()});
      continue;
    }
    groups.push_back(group_of(section, false));
  }
  for (const auto* section : deployment_sections()) groups.push_back(group_of(section->key, false));
  std::ranges::sort(groups, {}, &Group::name);
  return groups;
}

// --- JSON Schema ---

/// Members of a JSON object, joined.
std::string joined(std::vector<std::string> parts) {
  std::string out;
  for (auto& part : parts)
    if (!part.empty()) out += (out.empty() ? "" : ",") + part;
  return out;
}

std::string members_of(std::span<const Field> fields, const void* defaults) {
  const auto whole = config::schema(fields, defaults);  // {"type":"object",…,"properties":{…}}
  constexpr std::string_view before = "\"properties\":{";
  const auto begin = whole.find(before) + before.size();
  return whole.substr(begin, whole.size() - 2 - begin);
}

std::string object_schema(const Group& group) {
  std::vector<std::string> members;
  for (const auto& options : group.options) members.push_back(members_of(options.fields, options.defaults));
  if (group.policy) members.push_back(R"("mode":{"enum":["off","shadow","enforce"],"default":"enforce"})");
  auto more = std::string("false");
  if (group.named && !group.entry_schema.empty())
    more = "{" + std::string(group.entry_schema) + "}";
  else if (group.named)
    more = config::schema(group.entries.fields, group.entries.defaults);
  return R"({"type":"object","properties":{)" + joined(std::move(members)) + R"(},"additionalProperties":)" + more +
         "}";
}

std::string schema_of(const Group& group) {
  std::vector<std::string> ways;
  if (!group.short_form.empty()) ways.push_back("{" + std::string(group.short_form) + "}");
  if (group.policy) ways.push_back(R"({"enum":["off",false]})");
  if (!group.options.empty() || group.policy || group.named) ways.push_back(object_schema(group));
  return R"({"description":)" + quoted(group.sentence) + R"(,"anyOf":[)" + joined(std::move(ways)) + "]}";
}

std::string extension_schema(config::Scopes without) {
  std::vector<std::string> members;
  for (const auto& group : contract_groups())
    if (group.scopes != without)
      members.push_back(quoted(group.name) + R"(:{"$ref":"#/$defs/x-plimsoll.)" + std::string(group.name) + "\"}");
  return R"({"type":"object","properties":{)" + joined(std::move(members)) + R"(},"additionalProperties":false})";
}

using contract::Kind;

/// `an operation` as `operation`.
std::string definition_of(Kind kind) {
  auto name = contract::name_of(kind);
  std::string made(name.substr(name.find(' ') + 1));
  std::ranges::replace(made, ' ', '-');
  return made;
}

std::string reference_to(Kind kind) {
  return kind == Kind::any ? "{}" : R"({"$ref":"#/$defs/)" + definition_of(kind) + "\"}";
}

std::string shape_schema(Kind of, const contract::FieldSpec& field) {
  using enum contract::Shape;
  switch (field.shape) {
    case text: return R"({"type":"string"})";
    case flag: return R"({"type":"boolean"})";
    case number: return R"({"type":"number"})";
    case whole: return R"({"type":"integer"})";
    case object: return field.kind == Kind::any ? R"({"type":"object"})" : reference_to(field.kind);
    case list: return R"({"type":"array","items":)" + reference_to(field.kind) + "}";
    case map:
      return R"({"type":"object",)" +
             std::string(contract::extends(of, field.name, "x-") ? R"("patternProperties":{"^x-":{}},)" : "") +
             R"("additionalProperties":)" + reference_to(field.kind) + "}";
    case anything:
      return field.kind == Kind::any ? "{}" : R"({"anyOf":[)" + reference_to(field.kind) + R"(,{"type":"array"}]})";
  }
  return "{}";
}

std::string kind_schema(Kind kind) {
  if (kind == Kind::callback)
    return R"({"type":"object","patternProperties":{"^x-":{}},"additionalProperties":)" +
           reference_to(Kind::path_item) + "}";
  const bool schema = kind == Kind::schema;
  std::vector<std::string> members, required;
  for (const auto& field : schema ? contract::schema_keywords() : contract::fields_of(kind)) {
    members.push_back(quoted(field.name) + ":" + shape_schema(kind, field));
    if (field.required) required.push_back(quoted(field.name));
  }
  if (kind == Kind::document || kind == Kind::path_item || kind == Kind::operation)
    members.push_back(R"("x-plimsoll":{"$ref":"#/$defs/x-plimsoll.)" +
                      std::string(kind == Kind::document ? "document" : "operation") + "\"}");
  // Keywords of schemas that are not known are annotations.
  if (schema) return R"({"type":["object","boolean"],"properties":{)" + joined(std::move(members)) + "}}";
  auto whole = R"({"type":"object","properties":{)" + joined(std::move(members)) +
               R"(},"patternProperties":{"^x-":{}},"additionalProperties":false)" +
               (required.empty() ? "" : ",\"required\":[" + joined(std::move(required)) + "]") + "}";
  if (!contract::referable(kind) || kind == Kind::path_item) return whole;
  return R"({"if":{"type":"object","required":["$ref"]},"else":)" + whole + "}";
}

// --- words ---

/// What `bounds` are written as.
std::string range_of(const Field& field) {
  if (!field.bounds) return {};
  return field.show_amount(field.bounds->least) + " to " + field.show_amount(field.bounds->most);
}

std::string in_words(const Value& schema) {
  if (const auto* ways = schema.find("anyOf")) {
    std::string text;
    for (auto& way : ways->array()) text += (text.empty() ? "" : ", or ") + in_words(way);
    return text;
  }
  if (const auto* words = schema.find("enum")) {
    std::string text;
    for (auto& word : words->array())
      text += (text.empty() ? "`" : ", `") +
              (word.is(Type::string) ? std::string(word.string()) : json::to_string(word)) + "`";
    return words->array().size() > 1 ? "one of " + text : text;
  }
  if (const auto* word = schema.find("const"))
    return "`" + (word->is(Type::string) ? std::string(word->string()) : json::to_string(*word)) + "`";
  const auto* type = schema.find("type");
  const auto named = [](std::string_view name) -> std::string {
    return name == "string"    ? "text"
           : name == "boolean" ? "`true` or `false`"
           : name == "integer" ? "whole number"
           : name == "array"   ? "list"
                               : std::string(name);
  };
  if (type && type->is(Type::array)) {
    std::string text;
    for (auto& one : type->array()) text += (text.empty() ? "" : " or ") + named(one.string());
    return text;
  }
  if (!type || !type->is(Type::string)) return "see there";
  if (const auto* pattern = schema.find("pattern")) {
    const auto written = pattern->string();
    const bool off = written.contains("off");
    std::string text = "text";
    if (written.contains("minute"))
      text = "rate, such as `100/minute`";
    else if (written.contains("KiB"))
      text = "size, such as `64KiB`";
    else if (written.contains("%"))
      text = "ratio, such as `5%`";
    else if (written.contains("ms|s|m|h"))
      text = "duration, such as `30s`";
    else if (written.starts_with("^[0-9]{4}-"))
      text = "date, such as `2026-12-31`";
    if (written.contains("operation")) text += ", or `operation`";
    if (written.contains("origin")) text += ", `origin`";
    return off ? text + ", or `off`" : text;
  }
  if (type->string() == "array")
    if (const auto* items = schema.find("items")) return "list of " + in_words(*items);
  return named(type->string());
}

std::string words_of(std::string_view members) {
  Arena arena;
  const auto text = "{" + std::string(members) + "}";
  const auto parsed = json::parse(text, arena);
  return parsed ? in_words(*parsed) : std::string{};
}

std::string type_of(const Field& field) {
  std::string text = field.schema.empty() ? "" : words_of(field.schema);
  if (!field.parts.empty())
    text += (text.empty() ? "" : ", or ") + std::string(field.named ? "object of objects, by name" : "object");
  if (const auto range = range_of(field); !range.empty()) text += ", " + range;
  return text;
}

/// As JSON shows it, without quotes where YAML needs none.
std::string plain(std::string value) {
  if (value.size() > 2 && value[0] == '"' &&
      std::ranges::all_of(value.substr(1, value.size() - 2),
                          [](unsigned char c) {
                            return std::isalnum(c) || c == '/' || c == '%' || c == '-' || c == '_' || c == '.';
                          }) &&
      !std::isdigit(static_cast<unsigned char>(value[1])))
    return value.substr(1, value.size() - 2);
  return value;
}

std::string example_of(const Field& field, const void* defaults) {
  if (!field.example.empty()) return std::string(field.example);
  if (!field.parts.empty()) {
    const auto inner = "{" + std::string(field.parts[0].name) + ": " +
                       example_of(field.parts[0], field.standard ? field.standard() : nullptr) + "}";
    return field.named ? "{NAME: " + inner + "}" : inner;
  }
  const auto standard = defaults ? field.show(defaults) : std::string{};
  if (standard == "true" || standard == "false") return standard == "true" ? "false" : "true";
  const auto words = words_of(field.schema);
  if (words.starts_with("rate")) return "100/minute";
  if (words.starts_with("size")) return field.bounds && field.bounds->least > 65536 ? standard : "64KiB";
  if (words.starts_with("ratio")) return "5%";
  if (words.starts_with("duration")) return "30s";
  if (words.starts_with("one of ")) {
    auto word = words.substr(8, words.find('`', 8) - 8);
    return std::isdigit(static_cast<unsigned char>(word[0])) ? quoted(word) : word;  // else YAML takes it for a number
  }
  if (!standard.empty() && standard != "null" && standard != "\"\"" && standard != "[]" && standard != "0")
    return plain(standard);
  if (words.starts_with("whole number")) return "10";
  if (words.contains("list")) return "[name]";
  return "name";
}

class Writer {
 public:
  explicit Writer(std::vector<ReferenceEntry>& out) : out_(out) {}

  void group(const Group& group, bool deployment) {
    deployment_ = deployment;
    scopes_ = deployment                                  ? "plimsoll.yaml"
              : group.scopes == config::Scopes::document  ? "document"
              : group.scopes == config::Scopes::operation ? "path, operation"
                                                          : "document, path, operation";
    if (group.methods == config::Methods::safe) scopes_ += " (GET)";
    if (group.methods == config::Methods::unsafe) scopes_ += " (POST, PUT, PATCH, DELETE)";
    const auto short_form = group.short_form.empty() ? "" : words_of(group.short_form);
    std::string type = group.named ? "object, by name" : group.options.empty() ? "" : "object";
    if (group.policy) type = "object, or `off`";
    if (type.empty()) type = short_form;
    out_.push_back({.name = std::string(group.name),
                    .deployment = deployment,
                    .key = true,
                    .sentence = std::string(group.sentence),
                    .type = std::move(type),
                    .short_form = short_form,
                    .scopes = scopes_,
                    .example = wrapped({std::string(group.name)}, std::string(group.example))});
    for (const auto& options : group.options) fields({std::string(group.name)}, options.fields, options.defaults);
    if (group.named) fields({std::string(group.name), "NAME"}, group.entries.fields, group.entries.defaults);
    if (!group.policy) return;
    out_.push_back(
        {.name = std::string(group.name) + ".mode",
         .deployment = deployment,
         .sentence = "`enforce` applies it, `shadow` only counts and logs what it would do, `off` switches it off.",
         .type = "one of `off`, `shadow`, `enforce`",
         .standard = "enforce",
         .scopes = scopes_,
         .example = wrapped({std::string(group.name), "mode"}, "shadow")});
  }
  /// Options without a section.
  void top(std::span<const Field> fields_of, const void* defaults) {
    deployment_ = true, scopes_ = "plimsoll.yaml";
    for (const auto& field : fields_of) {
      out_.push_back(entry({}, field, defaults));
      out_.back().key = true;
      parts({}, field);
    }
  }

 private:
  using Path = std::vector<std::string>;
  std::string wrapped(const Path& path, const std::string& value) const {
    std::string text = path[0] + ": ";
    for (std::size_t i = 1; i < path.size(); ++i) text += "{" + path[i] + ": ";
    text += value + std::string(path.size() - 1, '}');
    return deployment_ ? text : "x-plimsoll: {" + text + "}";
  }
  ReferenceEntry entry(Path path, const Field& field, const void* defaults) const {
    path.emplace_back(field.name);
    std::string name;
    for (auto& step : path) name += (name.empty() ? "" : ".") + step;
    auto standard = defaults ? field.show(defaults) : std::string{};
    if (standard == "null" || standard == "\"\"" || standard == "[]") standard.clear();
    return {.name = std::move(name),
            .deployment = deployment_,
            .sentence = std::string(field.sentence),
            .type = type_of(field),
            .standard = plain(standard),
            .scopes = scopes_,
            .example = wrapped(path, example_of(field, defaults))};
  }
  void parts(const Path& path, const Field& field) {
    if (field.parts.empty()) return;
    auto inner = path;
    inner.emplace_back(field.name);
    if (field.named) inner.emplace_back("NAME");
    fields(inner, field.parts, field.standard ? field.standard() : nullptr);
  }
  void fields(const Path& path, std::span<const Field> fields_of, const void* defaults) {
    for (const auto& field : fields_of) {
      out_.push_back(entry(path, field, defaults));
      parts(path, field);
    }
  }

  std::vector<ReferenceEntry>& out_;
  bool deployment_ = false;
  std::string scopes_;
};

}  // namespace

std::vector<ReferenceEntry> reference() {
  std::vector<ReferenceEntry> out;
  Writer writer(out);
  for (const auto& group : contract_groups()) writer.group(group, false);
  const Deployment standard;
  writer.top(kDeploymentFields, &standard);
  writer.top(nested_fields(), &standard);
  for (const auto& group : deployment_groups()) writer.group(group, true);
  return out;
}

std::string to_text(const ReferenceEntry& entry) {
  std::string text = entry.name + (entry.deployment ? " (deployment)\n  " : " (contract)\n  ") + entry.sentence + "\n";
  const auto line = [&](std::string_view what, const std::string& value) {
    if (!value.empty()) text += "  " + std::string(what) + std::string(9 - what.size(), ' ') + value + "\n";
  };
  line("type:", entry.type);
  line("short:", entry.short_form);
  line("default:", entry.standard);
  line("scopes:", entry.scopes);
  line("example:", entry.example);
  return text;
}

std::string reference_page(bool deployment) {
  std::string text =
      deployment ? "# Reference: the deployment (`plimsoll.yaml`)\n" : "# Reference: the contract (`x-plimsoll`)\n";
  text += deployment ? "\nThis page is generated from the declarations in the code; `plimsoll explain NAME` prints the "
                       "same. Editors read "
                       "`plimsoll schema deployment`.\nDurations are `250ms`, `30s`, `5m`, `1h`, `7d`; sizes `64KiB`, "
                       "`10MiB`; rates "
                       "`100/minute`, `20/10s`; ratios `5%`.\n"
                     : "\nThis page is generated from the declarations in the code; `plimsoll explain NAME` prints the "
                       "same. Editors read "
                       "`plimsoll schema contract`.\nA key can be set for the document, a path or an operation: the "
                       "innermost scope wins.\n";
  const auto cell = [](std::string value) {
    for (std::size_t at = 0; (at = value.find('|', at)) != value.npos; at += 2) value.insert(at, "\\");
    return value;
  };
  bool table = false;
  for (const auto& entry : reference()) {
    if (entry.deployment != deployment) continue;
    if (entry.key) {
      text += "\n## " + entry.name + "\n\n" + entry.sentence + "\n\n- Type: " + entry.type + "\n";
      if (!entry.short_form.empty() && entry.short_form != entry.type)
        text += "- Short form: " + entry.short_form + "\n";
      if (!entry.standard.empty()) text += "- Default: `" + entry.standard + "`\n";
      text += "- Scopes: " + entry.scopes + "\n- Example: `" + entry.example + "`\n";
      table = false;
      continue;
    }
    if (!table) text += "\n| option | type | default | what it is | example |\n|---|---|---|---|---|\n";
    table = true;
    text += "| `" + entry.name + "` | " + cell(entry.type) + " | " +
            (entry.standard.empty() ? "" : "`" + cell(entry.standard) + "`") + " | " + cell(entry.sentence) + " | `" +
            cell(entry.example) + "` |\n";
  }
  return text;
}

std::string contract_schema() {
  std::vector<std::string> definitions;
  for (int i = static_cast<int>(Kind::document); i <= static_cast<int>(Kind::external_docs); ++i) {
    const auto kind = static_cast<Kind>(i);
    definitions.push_back(quoted(definition_of(kind)) + ":" + kind_schema(kind));
  }
  for (const auto& group : contract_groups())
    definitions.push_back(quoted("x-plimsoll." + std::string(group.name)) + ":" + schema_of(group));
  definitions.push_back(R"("x-plimsoll.document":)" + extension_schema(config::Scopes::operation));
  definitions.push_back(R"("x-plimsoll.operation":)" + extension_schema(config::Scopes::document));
  return R"({"$schema":"https://json-schema.org/draft/2020-12/schema","title":"OpenAPI with x-plimsoll","$ref":"#/$defs/document","$defs":{)" +
         joined(std::move(definitions)) + "}}";
}

std::string deployment_schema() {
  const Deployment standard;
  std::vector<std::string> members{members_of(kDeploymentFields, &standard), members_of(nested_fields(), &standard)};
  for (const auto& group : deployment_groups()) members.push_back(quoted(group.name) + ":" + schema_of(group));
  return R"({"$schema":"https://json-schema.org/draft/2020-12/schema","title":"plimsoll.yaml","type":"object","properties":{)" +
         joined(std::move(members)) + R"(},"additionalProperties":false})";
}

}  // namespace plimsoll::server
