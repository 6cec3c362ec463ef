#include "plimsoll/contract/lint.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/contract/compiled.hpp"
#include "plimsoll/contract/example_validator.hpp"

#include <algorithm>
#include <set>
#include <unordered_map>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;
using enum LintRule::Severity;

constexpr LintRule kOperationId{"operation-id", warning, "Each operation has an operationId.",
                                "Add an `operationId`: code, logs and metrics name the operation by it."};
constexpr LintRule kSummary{"operation-summary", info, "Each operation says what it does.", "Add a `summary`."};
constexpr LintRule kSuccess{"success-response", warning, "Each operation declares a success.",
                            "Declare the 2xx or 3xx answer."};
constexpr LintRule kProblem{"problem-response", warning, "Each operation declares its problem responses.",
                            "Declare a 4XX or default answer of the type application/problem+json (RFC 9457)."};
constexpr LintRule kSecurity{"security-declared", warning, "Each operation declares its security.",
                             "Add `security`, for the document or the operation; `security: []` says that anyone may."};
constexpr LintRule kString{"string-bounded", warning, "Texts of requests have a maximum length.",
                           "Add `maxLength`, `enum`, or a `format` or `pattern` that bounds it."};
constexpr LintRule kArray{"array-bounded", warning, "Lists of requests have a maximum length.", "Add `maxItems`."};
constexpr LintRule kNumber{"number-bounded", info, "Numbers of requests have bounds.", "Add `minimum` and `maximum`."};
constexpr LintRule kPageSize{"page-size-bounded", warning, "The size of a page has a maximum.",
                             "Add `maximum` to the parameter, and a `default`."};
constexpr LintRule kPaging{"list-paged", warning, "An operation that lists is paged.",
                           "Add a `limit` parameter with a maximum, and a cursor."};
constexpr LintRule kExample{"example-valid", error, "Examples satisfy their schema.",
                            "Correct the example or the schema."};
constexpr LintRule kSchema{"schema-valid", error, "Schemas can be compiled.", "Correct the keyword named."};
constexpr LintRule kBody{"body-meaningful", warning, "GET, HEAD and DELETE have no body.",
                         "Move it to parameters: many clients and proxies drop it (RFC 9110, section 9.3.1)."};
constexpr LintRule kSlash{"path-slash", warning, "Paths do not end with a slash.",
                          "Remove the slash: it makes another path."};
constexpr LintRule kServer{"server-secure", warning, "Servers are reached by https.", "Write https."};
constexpr LintRule kKey{"key-not-in-query", warning, "Keys are not part of URLs.",
                        "Send the key in a header: URLs are written to logs."};
constexpr LintRule kUnused{"component-used", info, "Each component is used.", "Remove it, or refer to it."};
constexpr LintRule kTag{"tag-declared", info, "Tags are declared.", "Add it to `tags`."};
constexpr LintRule kRules[] = {kOperationId, kSummary, kSuccess,  kProblem, kSecurity, kString,
                               kArray,       kNumber,  kPageSize, kPaging,  kExample,  kSchema,
                               kBody,        kSlash,   kServer,   kKey,     kUnused,   kTag};

bool flag(const Value& object, std::string_view key) {
  const auto* value = object.find(key);
  return value && value->is(Type::boolean) && value->boolean();
}

class Linter {
 public:
  explicit Linter(const Contract& contract)
      : contract_(contract), sources_(dynamic_cast<const Compiled*>(&contract)), root_(*contract.root) {}

  std::vector<Finding> run() {
    document();
    for (auto& operation : contract_.operations)
      if (const auto* responses = operation.raw->find("responses"); !responses || !is_generated(*responses))
        this->operation(operation);
    components();
    return std::move(findings_);
  }

 private:
  /// What follows from `x-plimsoll` stands in no file: its author cannot change it.
  bool is_generated(const Value& value) const { return !value.position().line && root_.position().line; }

  /// Where a value stands: from its parent, by name or index.
  struct Place {
    const Value* parent;
    std::string_view name;
    std::size_t index;
  };
  void place(const Value& value) {
    std::size_t index = 0;
    for (auto& item : value.array()) places_.try_emplace(&item, Place{&value, {}, index++}), place(item);
    for (auto& member : value.object())
      places_.try_emplace(&member.value, Place{&value, member.key, 0}), place(member.value);
  }
  /// What a reference leads to has its own place, however it was come by.
  std::string pointer_to(const Value* value, std::string otherwise) {
    if (places_.empty()) place(root_);
    const auto found = places_.find(value);
    if (found == places_.end()) return value == &root_ ? std::string() : otherwise;
    auto pointer = pointer_to(found->second.parent, {});
    if (found->second.parent->is(Type::array))
      json::append_token(pointer, found->second.index);
    else
      json::append_token(pointer, found->second.name);
    return pointer;
  }

  void add(const LintRule& rule, const Value* at, std::string pointer, std::string message) {
    if (at && is_generated(*at)) return;
    pointer = pointer_to(at, std::move(pointer));
    if (!said_.emplace(&rule, pointer).second) return;
    Finding made{.rule = std::string(rule.id),
                 .severity = rule.severity,
                 .pointer = std::move(pointer),
                 .message = std::move(message),
                 .remedy = std::string(rule.remedy)};
    const std::size_t source = at ? at->source() : 0;
    made.file = sources_ && source < sources_->sources.size() ? sources_->sources[source].file : contract_.file;
    if (at) made.at = at->position();
    findings_.push_back(std::move(made));
  }

  void document() {
    if (const auto* servers = root_.find("servers")) {
      std::size_t index = 0;
      for (auto& server : servers->array()) {
        const auto* url = server.find("url");
        const auto text = url && url->is(Type::string) ? url->string() : std::string_view{};
        if (text.starts_with("http://") && !text.starts_with("http://localhost") && !text.starts_with("http://127."))
          add(kServer, url, "/servers/" + std::to_string(index) + "/url", "the server is reached by http");
        ++index;
      }
    }
    for (auto& scheme : contract_.security_schemes)
      if (scheme.type == "apiKey" && scheme.in == In::query)
        add(kKey, scheme.raw, "/components/securitySchemes/" + scheme.name,
            "the key \"" + scheme.parameter + "\" is part of URLs");
    if (const auto* tags = root_.find("tags"))
      for (auto& tag : tags->array())
        if (const auto* name = tag.find("name"); name && name->is(Type::string)) tags_.insert(name->string());
  }

  void operation(const Operation& op) {
    const auto name = op.method + " " + op.path;
    const auto& raw = *op.raw;
    if (!raw.find("operationId")) add(kOperationId, &raw, op.pointer, name + " has no operationId");
    if (!raw.find("summary") && !raw.find("description"))
      add(kSummary, &raw, op.pointer, name + " does not say what it does");
    if (op.path.size() > 1 && op.path.ends_with('/')) add(kSlash, &raw, op.pointer, name + " ends with a slash");
    if (!raw.find("security") && !root_.find("security"))
      add(kSecurity, &raw, op.pointer, name + " declares no security");
    if (op.body && (op.method == "GET" || op.method == "HEAD" || op.method == "DELETE"))
      add(kBody, raw.find("requestBody"), op.pointer + "/requestBody", name + " has a body");
    if (const auto* tags = raw.find("tags"))
      for (auto& tag : tags->array())
        if (tag.is(Type::string) && !tags_.contains(tag.string()))
          add(kTag, &tag, op.pointer + "/tags", "the tag \"" + std::string(tag.string()) + "\" is not declared");
    answers(op, name);
    parameters(op, name);
    if (op.body)
      for (auto& media : op.body->content) {
        const auto at = op.pointer + "/requestBody/content/" + escaped(media.name);
        if (media.schema && body_kind(media.name) != BodyKind::binary) bounded(*media.schema, at + "/schema", 0);
        examples(*media.raw, at, media.schema, media.validator.get());
      }
  }

  void answers(const Operation& op, const std::string& name) {
    bool success = false, problem = false;
    for (auto& answer : op.responses) {
      const auto at = op.pointer + "/responses/" + answer.status;
      success |= answer.status[0] == '2' || answer.status[0] == '3' || answer.status == "default";
      problem |= (answer.status[0] == '4' || answer.status == "default") &&
                 std::ranges::any_of(answer.content, [](auto& m) { return m.name == "application/problem+json"; });
      for (auto& media : answer.content) {
        const auto here = at + "/content/" + escaped(media.name);
        std::shared_ptr<const schema::Validator> validator;
        if (media.schema && (media.raw->find("example") || media.raw->find("examples"))) {
          auto made = example_validator(contract_, *media.schema);
          if (made)
            validator = std::move(*made);
          else
            add(kSchema, media.schema, here + "/schema", made.error().detail);
        }
        examples(*media.raw, here, media.schema, validator.get());
        if (answer.status == "200" && op.method == "GET" && media.schema) paged(op, *media.schema, name);
      }
    }
    if (!success) add(kSuccess, op.raw, op.pointer, name + " declares no success");
    // Where `x-plimsoll` is in force the server adds them to the contract that it publishes.
    if (!problem && op.extensions.empty()) add(kProblem, op.raw, op.pointer, name + " declares no problem+json answer");
  }

  void paged(const Operation& op, const Value& schema, const std::string& name) {
    const auto& target = contract_.resolve(schema);
    const auto* type = target.find("type");
    const bool list = type && type->is(Type::string) && type->string() == "array" && !target.find("maxItems");
    if (list && std::ranges::none_of(op.parameters, [](auto& p) { return is_page_size(p.name); }))
      add(kPaging, op.raw, op.pointer, name + " answers with a list and cannot be paged");
  }
  static bool is_page_size(std::string_view name) {
    for (const auto* word :
         {"limit", "page_size", "pageSize", "PageSize", "per_page", "perPage", "page[size]", "first", "count"})
      if (name == word) return true;
    return false;
  }

  void parameters(const Operation& op, const std::string& name) {
    for (auto& p : op.parameters) {
      const auto at = op.pointer + "/parameters/" + escaped(p.name);
      if (!p.schema) continue;
      const auto& schema = contract_.resolve(*p.schema);
      if (is_page_size(p.name)) {
        if (!schema.find("maximum") && !schema.find("exclusiveMaximum") && !schema.find("enum"))
          add(kPageSize, p.raw, at, "the parameter \"" + p.name + "\" of " + name + " has no maximum");
      } else {
        bounded(*p.schema, at + "/schema", 0);
      }
      examples(*p.raw, at, p.schema, p.validator.get());
    }
  }

  /// Looks for what a request may make arbitrarily long.
  void bounded(const Value& given, std::string pointer, int depth) {
    if (const auto* ref = given.find("$ref"); ref && ref->is(Type::string) && ref->string().starts_with("#/"))
      pointer = ref->string().substr(1);
    const auto& schema = contract_.resolve(given);
    if (!schema.is(Type::object) || depth > 32 || !looked_.insert(&schema).second) return;
    const auto is = [&](std::string_view name) {
      const auto* type = schema.find("type");
      return type &&
             ((type->is(Type::string) && type->string() == name) ||
              std::ranges::any_of(type->array(), [&](auto& t) { return t.is(Type::string) && t.string() == name; }));
    };
    const bool listed = schema.find("enum") || schema.find("const") || flag(schema, "readOnly");
    if (is("string") && !listed && !schema.find("maxLength") && !schema.find("pattern") && !schema.find("format"))
      add(kString, &schema, pointer, "the text has no maximum length");
    if (is("array") && !listed && !schema.find("maxItems"))
      add(kArray, &schema, pointer, "the list has no maximum length");
    if ((is("integer") || is("number")) && !listed && !schema.find("maximum") && !schema.find("exclusiveMaximum"))
      add(kNumber, &schema, pointer, "the number has no maximum");
    for_each_child(schema, Kind::schema, [&](const Value& child, Kind, const Step& step) {
      if (step.field == "not" || step.field == "if" || step.field == "propertyNames" || step.field == "$defs") return;
      auto below = pointer;
      json::append_token(below, step.field);
      if (step.key.data()) json::append_token(below, step.key);
      if (step.index >= 0) json::append_token(below, static_cast<std::size_t>(step.index));
      bounded(child, std::move(below), depth + 1);
    });
  }

  void examples(const Value& object, const std::string& at, const Value* schema, const schema::Validator* validator) {
    if (!schema || !validator) return;
    const auto look = [&](const Value* value, const std::string& pointer) {
      if (!value || validator->valid(*value)) return;
      const auto failures = validator->validate(*value, 1);
      std::string why = failures.empty() ? "" : failures[0].instance + ": " + failures[0].message;
      add(kExample, value, pointer,
          "the example does not satisfy its schema: " + (why.starts_with(':') ? why.substr(2) : why));
    };
    look(object.find("example"), at + "/example");
    if (const auto* named = object.find("examples"))
      for (auto& member : named->object())
        look(contract_.resolve(member.value).find("value"), at + "/examples/" + escaped(member.key) + "/value");
  }

  void components() {
    const auto* components = root_.find("components");
    if (!components) return;
    std::set<std::string> used;
    collect(root_, used);
    for (auto& kind : components->object()) {
      if (kind.key == "securitySchemes" || kind.key.starts_with("x-")) continue;
      for (auto& member : kind.value.object()) {
        const auto pointer = "/components/" + std::string(kind.key) + "/" + escaped(member.key);
        if (used.contains("#" + pointer) || used.contains(std::string(member.key))) continue;
        add(kUnused, &member.value, pointer, "nothing refers to the component \"" + std::string(member.key) + "\"");
        const auto field = std::ranges::find(fields_of(Kind::components), kind.key, &FieldSpec::name);
        if (field != fields_of(Kind::components).end()) compiles(member.value, field->kind);
      }
    }
  }
  /// Schemas that no operation leads to; those of the others have been compiled when the document was loaded.
  void compiles(const Value& value, Kind kind) {
    if (kind != Kind::schema) {
      for_each_child(value, kind, [&](const Value& child, Kind of, const Step&) { compiles(child, of); });
    } else if (value.is(Type::object)) {
      auto made = example_validator(contract_, value);
      if (made) return;
      auto [at, what] = place_in_text(made.error().detail);
      add(kSchema, &value, {}, "the schema cannot be compiled: " + what);
      if (at.line && !findings_.empty()) findings_.back().at = at;
    }
  }
  static void collect(const Value& value, std::set<std::string>& used) {
    if (const auto* ref = value.find("$ref"); ref && ref->is(Type::string)) {
      std::string decoded;
      append_decoded(decoded, ref->string());
      used.insert(decoded);
    }
    if (const auto* mapping = value.at("discriminator", "mapping"))
      for (auto& member : mapping->object())
        if (member.value.is(Type::string)) used.insert(std::string(member.value.string()));
    for (auto& item : value.array()) collect(item, used);
    for (auto& member : value.object()) collect(member.value, used);
  }

  static std::string escaped(std::string_view key) {
    std::string out;
    json::append_token(out, key);
    return out.substr(1);
  }

  const Contract& contract_;
  const Compiled* sources_;
  const Value& root_;
  std::unordered_map<const Value*, Place> places_;
  std::set<std::string_view> tags_;
  std::set<const Value*> looked_;
  std::set<std::pair<const LintRule*, std::string>> said_;
  std::vector<Finding> findings_;
};

}  // namespace

std::span<const LintRule> lint_rules() { return kRules; }

std::vector<Finding> findings_of(const Complaints& complaints) {
  std::vector<Finding> findings;
  for (auto& c : complaints)
    findings.push_back({c.code, c.severity == Complaint::Severity::error || c.tolerated ? error : warning, c.file, c.at,
                        c.pointer, c.what, c.remedy});
  return findings;
}

std::vector<Finding> lint(const Contract& contract) {
  auto findings = findings_of(contract.warnings);
  for (auto& finding : Linter{contract}.run()) findings.push_back(std::move(finding));
  std::ranges::sort(findings, {}, [&](const Finding& f) {
    return std::tuple(f.file != contract.file, f.file, f.at.line, f.at.column, f.rule, f.pointer);
  });
  return findings;
}

}  // namespace plimsoll::contract
