#include "plimsoll/base/letters.hpp"
#include "plimsoll/contract/body.hpp"
#include "plimsoll/contract/compiled.hpp"
#include "plimsoll/contract/extensions.hpp"
#include "plimsoll/contract/fields.hpp"
#include "plimsoll/contract/routes.hpp"
#include "plimsoll/contract/schemas.hpp"
#include "plimsoll/contract/security.hpp"
#include "plimsoll/contract/servers.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <set>

namespace plimsoll::contract {
namespace {

using http::essence;
using json::Type;
using json::Value;
using Direction = schema::CompileOptions::Direction;

constexpr std::string_view kForm = "application/x-www-form-urlencoded";

/// type/subtype with parameters, or a range of them (RFC 9110, section 8.3.1).
bool is_media_type(std::string_view name) {
  name = name.substr(0, name.find(';'));
  while (name.ends_with(' ')) name.remove_suffix(1);
  const auto slash = name.find('/');
  if (slash == 0 || slash == name.npos || slash + 1 == name.size()) return false;
  for (const char c : name.substr(0, slash))
    if (!std::isalnum(static_cast<unsigned char>(c)) && !std::strchr("!#$%&'*+-.^_`|~", c)) return false;
  for (const char c : name.substr(slash + 1))
    if (!std::isalnum(static_cast<unsigned char>(c)) && !std::strchr("!#$%&'*+-.^_`|~", c)) return false;
  return true;
}

bool is_status(std::string_view key) {
  if (key == "default") return true;
  if (key.size() != 3 || key[0] < '1' || key[0] > '5') return false;
  return key.substr(1) == "XX" ||
         (std::isdigit(static_cast<unsigned char>(key[1])) && std::isdigit(static_cast<unsigned char>(key[2])));
}

class Compiler {
 public:
  Compiler(Compiled& made, const LoadOptions& options, Report& report)
      : made_(made), root_(*made.root), options_(options), report_(report), schemas_(made, report) {}

  void run() {
    if (const auto* info = root_.find("info"))
      made_.title = text_of(*info, "title"), made_.version = text_of(*info, "version");
    made_.extension = root_.find("x-plimsoll");
    if (!knows_dialect()) return;
    const Trail top;
    made_.base_paths = base_paths(root_.find("servers"), "/servers", report_);
    read_security_schemes(made_, report_);
    if (made_.extension) check_extension(*made_.extension, "/x-plimsoll", Scope::document, {}, options_, report_);
    if (made_.extension && made_.extension->find("undeclared"))
      made_.security = read_security(root_.find("security"), made_, top, report_);
    const auto* paths = root_.find("paths");
    if (paths && paths->is(Type::object)) {
      const Trail at{&top, {"paths"}};
      for (auto& member : paths->object())
        if (!member.key.starts_with("x-")) path(member, at);
      made_.operations.shrink_to_fit();  // they are there as long as the contract
    }
    if (const auto* webhooks = root_.find("webhooks"))
      for (auto& webhook : webhooks->object())
        schemas_.compile_all(webhook.value, Kind::path_item, {&top, {"webhooks", webhook.key}});
    if (made_.operations.empty()) nothing_to_serve(paths);
    check_security();
    check_answers();
    add_routes(made_, routes_, report_);
  }

 private:
  /// The dialect that the document chooses for its schemas: none of them means anything before it is known.
  bool knows_dialect() {
    const auto* dialect = root_.find("jsonSchemaDialect");
    if (!dialect || made_.compile(Value::of(true), Direction::request)) return true;
    report_.add(load_error::kUnknownDialect, dialect, "/jsonSchemaDialect",
                "the dialect \"" + std::string(dialect->string()) + "\" is not known");
    return false;
  }

  /// What is wrong with the schema of an answer is told; where that is tolerated, the answer has none.
  void check_answers() {
    schemas_.check();
    for (auto& op : made_.operations)
      for (auto& answer : op.responses)
        for (auto& media : answer.content)
          for (auto* schema : {&media.schema, &media.events})
            if (*schema && schemas_.is_refused(**schema)) *schema = nullptr;
  }

  /// Where some operations say who may call them, one that says nothing may have been forgotten. (Those that change
  /// something have to say it: `authorization`.)
  void check_security() {
    if (root_.find("security") || std::ranges::all_of(made_.operations, [](auto& op) { return op.security.empty(); }))
      return;
    for (const auto& op : made_.operations)
      if ((op.method == "GET" || op.method == "HEAD" || op.method == "QUERY") && !op.raw->find("security") &&
          op.raw->position().line)
        report_.add(load_error::kMissingSecurity, op.raw, op.pointer,
                    "operation " + op.id + " has no `security`, so that everybody may call it");
  }

  void nothing_to_serve(const Value* paths) {
    if (!paths && !root_.find("components") && !root_.find("webhooks"))
      report_.add(load_error::kMissingField, &root_, "", "the document has none of `paths`, `webhooks`, `components`");
  }

  void path(const json::Member& member, const Trail& paths) {
    const Trail at{&paths, {{}, member.key}};
    const auto& item = made_.resolve(member.value);
    if (!item.is(Type::object)) return;
    const auto* extension = item.find("x-plimsoll");
    if (extension) check_extension(*extension, at.pointer() + "/x-plimsoll", Scope::path, {}, options_, report_);
    for (auto& child : item.object()) {
      if (child.key == "additionalOperations" && made_.minor >= 2)
        for (auto& other : child.value.object())
          if (other.value.is(Type::object)) operation(member, item, extension, other, at, {child.key, other.key});
      if (!contains(kMethodFields, child.key) || !child.value.is(Type::object)) continue;
      if (child.key == "query" && made_.minor < 2) continue;
      operation(member, item, extension, child, at, {child.key});
    }
  }

  void operation(const json::Member& path, const Value& item, const Value* path_extension, const json::Member& child,
                 const Trail& at_path, const Step& step) {
    const Trail at{&at_path, step};
    auto& op = made_.operations.emplace_back();
    op.index = static_cast<std::uint32_t>(made_.operations.size() - 1);
    op.raw = &child.value;
    op.method = child.key;
    if (step.field == child.key)  // of `additionalOperations` as it is written
      std::ranges::transform(op.method, op.method.begin(), [](unsigned char c) { return std::toupper(c); });
    op.path = path.key;
    op.pointer = at.pointer();
    op.file = report_.sources()[child.value.source()].file;
    op.summary = text_of(child.value, "summary");
    op.deprecated = flag_of(child.value, "deprecated");
    if (const auto* own = child.value.find("x-plimsoll"))
      check_extension(*own, op.pointer + "/x-plimsoll", Scope::operation, op.method, options_, report_);
    op.extensions = merge_extensions(made_.extension, path_extension, child.value.find("x-plimsoll"));
    name(op, child.value, at);
    parameters(op, item.find("parameters"), at_path);
    parameters(op, child.value.find("parameters"), at);
    op.parameters.shrink_to_fit();
    check_query_string(op, at);
    if (const auto* body = child.value.find("requestBody")) request_body(op, *body, at);
    if (const auto* responses = child.value.find("responses")) this->responses(op, *responses, at);
    if (const auto* callbacks = child.value.find("callbacks"))
      for (auto& callback : callbacks->object())
        schemas_.compile_all(callback.value, Kind::callback, {&at, {"callbacks", callback.key}});
    const auto* required = child.value.find("security");
    op.security = required ? read_security(required, made_, at, report_)
                           : read_security(root_.find("security"), made_, Trail{}, report_);
    const auto* servers = child.value.find("servers");
    const Trail& of = servers ? at : at_path;
    if (!servers) servers = item.find("servers");
    routes_.push_back({.bases = servers ? base_paths(servers, of.pointer() + "/servers", report_) : made_.base_paths,
                       .path = &path,
                       .pointer = at_path.pointer(),
                       .parameters_unread = unread_.contains(op.index)});
  }

  void name(Operation& op, const Value& raw, const Trail& at) {
    op.id = text_of(raw, "operationId");
    if (op.id.empty()) {
      auto made = lowered(op.method);
      for (const char c : op.path) {
        if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.')
          made += c;
        else if (!made.ends_with('_'))
          made += '_';
      }
      while (made.ends_with('_')) made.pop_back();
      op.id = made;
      for (int n = 2; ids_.contains(op.id); ++n) op.id = made + std::to_string(n);
      ids_.emplace(op.id, &raw);
      return;
    }
    if (const auto [known, fresh] = ids_.emplace(op.id, &raw); !fresh)
      report_.add(load_error::kDuplicateOperationId, raw.find("operationId"), at.pointer() + "/operationId",
                  "the operationId \"" + op.id + "\" is taken by the operation in line " +
                      std::to_string(known->second->position().line));
    else
      return;
    const auto taken = op.id;  // where the fault is tolerated, both are served
    for (int n = 2; !ids_.emplace(op.id, &raw).second; ++n) op.id = taken + std::to_string(n);
  }

  void parameters(Operation& op, const Value* list, const Trail& trail) {
    if (!list || !list->is(Type::array)) return;
    std::set<std::pair<In, std::string>> seen;
    std::int64_t index = 0;
    for (auto& item : list->array()) {
      const Trail at{&trail, {"parameters", {}, index++}};
      const auto& raw = made_.resolve(item);
      const auto reference = item.find("$ref");
      if (!raw.is(Type::object) || raw.find("$ref") || (reference && report_.said_at(*reference))) {
        unread_.insert(op.index);
        continue;
      }
      auto made = parameter(raw, at);
      if (!made) {
        if (text_of(raw, "name").empty() || text_of(raw, "in") == "path") unread_.insert(op.index);
        continue;
      }
      if (!seen.emplace(made->in, made->name).second) {
        report_.add(load_error::kDuplicateParameter, &item, at.pointer(),
                    "the parameter \"" + made->name + "\" is declared twice");
        continue;
      }
      const auto same =
          std::ranges::find_if(op.parameters, [&](auto& p) { return p.in == made->in && p.name == made->name; });
      if (same != op.parameters.end())
        *same = std::move(*made);
      else
        op.parameters.push_back(std::move(*made));
    }
  }

  /// That of the path item may stand beside parameters of the operation; lists of their own have been looked at.
  void check_query_string(const Operation& op, const Trail& at) {
    const auto whole = std::ranges::find(op.parameters, In::querystring, &Parameter::in);
    if (whole == op.parameters.end() || std::ranges::all_of(op.parameters, [&](auto& p) {
          return &p == &*whole || (p.in != In::query && p.in != In::querystring);
        }))
      return;
    if (!report_.said_at(*whole->raw))
      report_.add(load_error::kInvalidParameter, whole->raw, at.pointer(),
                  "operation " + op.id + " has query parameters in addition to \"" + whole->name +
                      "\", which is the whole query");
  }

  std::optional<Parameter> parameter(const Value& raw, const Trail& at) {
    Parameter p{.name = text_of(raw, "name"), .raw = &raw};
    const auto in = text_of(raw, "in");
    const auto invalid_at = [&](const Value& place, const LoadError& error,
                                std::string what) -> std::optional<Parameter> {
      report_.add(error, &place, at.pointer(), "the parameter \"" + p.name + "\" " + what);
      return std::nullopt;
    };
    const auto invalid = [&](const LoadError& error, std::string what) {
      return invalid_at(raw, error, std::move(what));
    };
    if (p.name.empty()) return std::nullopt;  // missing-field has been said
    if (in == "path")
      p.in = In::path;
    else if (in == "query")
      p.in = In::query;
    else if (in == "header")
      p.in = In::header;
    else if (in == "cookie")
      p.in = In::cookie;
    else if (in == "querystring" && made_.minor >= 2)
      p.in = In::querystring;
    else
      return in.empty() ? std::nullopt
                        : invalid_at(*raw.find("in"), load_error::kInvalidParameter,
                                     "is in \"" + in + "\"; path, query, header and cookie are known" +
                                         (made_.minor >= 2 ? ", and querystring" : ""));
    if (p.in == In::header) {
      p.name = lowered(p.name);
      if (p.name == "accept" || p.name == "content-type" || p.name == "authorization")
        return std::nullopt;  // OpenAPI 4.8.12
    }
    p.required = flag_of(raw, "required");
    p.deprecated = flag_of(raw, "deprecated");
    p.allow_reserved = flag_of(raw, "allowReserved");
    p.allow_empty = flag_of(raw, "allowEmptyValue");
    if (p.in == In::path && !p.required)
      invalid(load_error::kInvalidParameter, "is part of the path and must say `required: true`");
    if (!style(p, raw, at)) return std::nullopt;
    const auto* schema = raw.find("schema");
    const auto* content = raw.find("content");
    if (!schema == !content)
      return invalid(load_error::kInvalidParameter,
                     schema ? "has both `schema` and `content`" : "has neither `schema` nor `content`");
    if (content) {
      if (content->object().size() != 1)
        return invalid(load_error::kInvalidParameter, "must have exactly one media type in `content`");
      p.content_type = essence(content->object()[0].key);
      const bool form = p.in == In::querystring && p.content_type == kForm;
      if (!form && !is_json(p.content_type) && !p.content_type.starts_with("text/"))
        return invalid(load_error::kInvalidParameter,
                       "has the media type " + p.content_type + "; JSON and text can be read from a parameter");
      schema = content->object()[0].value.find("schema");
    } else {
      p.schema = schema;
    }
    if (schema) {
      const Trail below{&at, {"schema"}};
      p.validator = schemas_.compile(*schema, below);
      if (const auto* value = made_.resolve(*schema).find("default")) {
        p.default_value = value;
        if (p.validator && !p.validator->valid(*value)) {
          report_.add(load_error::kInvalidDefault, value, below.pointer() + "/default",
                      "the default of the parameter \"" + p.name + "\" does not satisfy its schema");
          p.default_value = nullptr;
        }
      }
    }
    return p;
  }

  bool style(Parameter& p, const Value& raw, const Trail& at) {
    static constexpr std::pair<std::string_view, Style> kStyles[] = {{"simple", Style::simple},
                                                                     {"label", Style::label},
                                                                     {"matrix", Style::matrix},
                                                                     {"form", Style::form},
                                                                     {"spaceDelimited", Style::space_delimited},
                                                                     {"pipeDelimited", Style::pipe_delimited},
                                                                     {"deepObject", Style::deep_object},
                                                                     {"cookie", Style::cookie}};
    p.style = p.in == In::path || p.in == In::header ? Style::simple : Style::form;
    if (const auto text = text_of(raw, "style"); !text.empty()) {
      const auto found = std::ranges::find(kStyles, text, &std::pair<std::string_view, Style>::first);
      const auto allowed = [&](Style s) {
        switch (p.in) {
          case In::path: return s == Style::simple || s == Style::label || s == Style::matrix;
          case In::query:
            return s == Style::form || s == Style::space_delimited || s == Style::pipe_delimited ||
                   s == Style::deep_object;
          case In::header: return s == Style::simple;
          case In::cookie: return s == Style::form || (s == Style::cookie && made_.minor >= 2);
          case In::querystring: return false;
        }
        return false;
      };
      if (found == std::end(kStyles) || !allowed(found->second)) {
        report_.add(
            load_error::kUnsupportedStyle, raw.find("style"), at.pointer() + "/style",
            "the parameter \"" + p.name + "\" in " + text_of(raw, "in") + " cannot have the style \"" + text + "\"");
        return false;
      }
      p.style = found->second;
    }
    p.explode =
        flag_of(raw, "explode", p.style == Style::form || p.style == Style::deep_object || p.style == Style::cookie);
    return true;
  }

  static bool is_json(std::string_view name) { return body_kind(essence(name)) == BodyKind::json; }
  /// `type: string` with `format: binary` (3.0), or bytes of a media type (3.1): a file, which is taken as it is.
  bool is_binary(const Value* schema) const {
    const auto& file = made_.resolve(*schema);
    if (!file.is(Type::object)) return false;
    if (const auto media = text_of(file, "contentMediaType"); !media.empty() && !file.find("contentSchema"))
      return true;
    return text_of(file, "type") == "string" &&
           (text_of(file, "format") == "binary" || text_of(file, "format") == "byte");
  }
  /// Which bodies are read into a value that a schema can judge, or are files.
  bool is_checkable(std::string_view name, const Value* schema) const {
    const auto type = essence(name);
    return is_binary(schema) || body_kind(type) != BodyKind::binary || type == "*/*" || type == "application/*" ||
           type == "application/octet-stream" || type.starts_with("image/") || type.starts_with("audio/") ||
           type.starts_with("video/");
  }

  void request_body(Operation& op, const Value& from, const Trail& trail) {
    const Trail at{&trail, {"requestBody"}};
    const auto& raw = made_.resolve(from);
    const auto* content = raw.find("content");
    if (!content || !content->is(Type::object)) return;
    auto& body = op.body.emplace();
    body.required = flag_of(raw, "required");
    std::vector<const json::Member*> unchecked;
    for (auto& member : content->object()) {
      const Trail here{&at, {"content", member.key}};
      if (!is_media_type(member.key)) {
        report_.add(load_error::kInvalidMediaType, member, here.pointer(),
                    "\"" + std::string(member.key) + "\" is not a media type");
        continue;
      }
      auto media = media_type(member);
      const auto* schema = media.schema;
      const bool unread = (schema && !is_checkable(member.key, schema)) || media.events;
      if (unread && !(schema && schema->is(Type::object) && schema->object().empty())) {
        unchecked.push_back(&member);
        continue;
      }
      if (const auto* encoding = member.value.find("encoding"))
        for (auto& property : encoding->object()) form_style(property, here);
      if (schema) {
        const Trail below{&here, {"schema"}};
        media.validator = schemas_.compile(*schema, below);
        if (!media.validator) media.schema = nullptr;
      }
      body.content.push_back(std::move(media));
    }
    const bool none = body.content.empty();
    for (const auto* member : unchecked) {
      const Trail here{&at, {"content", member->key}};
      if (none) {  // where the fault is tolerated, the body is taken as it is
        auto& media = body.content.emplace_back(media_type(*member));
        media.schema = media.events = nullptr;
      }
      report_.add(none ? load_error::kUncheckableBody : load_error::kUncheckedAlternative, *member, here.pointer(),
                  "a body of the type " + std::string(member->key) + " cannot be checked against a schema");
    }
  }

  void form_style(const json::Member& property, const Trail& media) {
    static constexpr std::string_view kStyles[] = {"form", "spaceDelimited", "pipeDelimited", "deepObject"};
    const auto style = text_of(property.value, "style");
    if (style.empty() || contains(kStyles, style)) return;
    report_.add(load_error::kUnsupportedStyle, property.value.find("style"),
                Trail{&media, {"encoding", property.key}}.pointer() + "/style",
                "the property \"" + std::string(property.key) + "\" of a form cannot have the style \"" + style + "\"");
  }

  MediaType media_type(const json::Member& member) {
    MediaType media{.name = lowered(member.key), .schema = member.value.find("schema"), .raw = &member.value};
    if (const auto* item = made_.minor >= 2 ? member.value.find("itemSchema") : nullptr) items(media, *item);
    return media;
  }

  /// `itemSchema` (OpenAPI 3.2, section 4.14.1): lines and parts are read into a list, of which it is the schema of
  /// each item. `schema` beside it is of that list too.
  void items(MediaType& media, const Value& item) {
    Value list = Value::object({});
    list.set_position(item.position());
    list.set_source(item.source());
    list.set(made_.arena, "type", Value::of("array"));
    list.set(made_.arena, "items", item);
    const auto type = essence(media.name);
    if (type == "text/event-stream") {
      media.events = &made_.arena.make<Value>(list);
      media.schema = nullptr;
      return;
    }
    if (media.schema) {
      Value both = Value::array({});
      both.push(made_.arena, *media.schema);
      both.push(made_.arena, list);
      list = Value::object({});
      list.set_position(item.position());
      list.set_source(item.source());
      list.set(made_.arena, "allOf", both);
    }
    media.schema = &made_.arena.make<Value>(list);
  }

  void responses(Operation& op, const Value& from, const Trail& trail) {
    for (auto& member : from.object()) {
      if (member.key.starts_with("x-")) continue;
      const Trail at{&trail, {"responses", member.key}};
      if (!is_status(member.key)) {
        report_.add(load_error::kInvalidStatus, member, at.pointer(),
                    "\"" + std::string(member.key) + "\" is no status");
        continue;
      }
      const auto& raw = made_.resolve(member.value);
      auto& spec = op.responses.emplace_back();
      spec.status = member.key;
      spec.raw = &raw;
      if (const auto* content = raw.find("content"))
        for (auto& type : content->object()) {
          if (is_media_type(type.key)) {
            auto& media = spec.content.emplace_back(media_type(type));
            const Trail here{&at, {"content", type.key}}, below{&here, {media.events ? "itemSchema" : "schema"}};
            if (const auto* schema = media.events ? media.events : media.schema) schemas_.later(*schema, below);
          } else
            report_.add(load_error::kInvalidMediaType, type, at.pointer() + "/content",
                        "\"" + std::string(type.key) + "\" is not a media type");
        }
      if (const auto* headers = raw.find("headers"))
        for (auto& header : headers->object()) {
          const auto& declared = made_.resolve(header.value);
          const Trail here{&at, {"headers", header.key}};
          schemas_.compile_all(declared, Kind::header, here);
          spec.headers.push_back({.name = std::string(header.key),
                                  .in = In::header,
                                  .style = Style::simple,
                                  .explode = flag_of(declared, "explode"),
                                  .required = flag_of(declared, "required"),
                                  .schema = declared.find("schema"),
                                  .raw = &declared});
        }
    }
  }

  Compiled& made_;
  const Value& root_;
  const LoadOptions& options_;
  Report& report_;
  std::vector<Route> routes_;       // of each operation
  std::set<std::uint32_t> unread_;  // operations of which some parameter cannot be read
  std::map<std::string, const Value*> ids_;
  Schemas schemas_;
};

}  // namespace

void compile(Compiled& made, const LoadOptions& options, Report& report) { Compiler{made, options, report}.run(); }

Result<schema::Validator> Compiled::compile(const json::Value& schema, Direction direction) const {
  return schema::compile(schema, {.dialect = dialect,
                                  .assert_formats = direction != Direction::response,
                                  .document = root,
                                  .direction = direction});
}

namespace {

/// Whether a schema means the same wherever it stands: it is small, and has neither references nor names for others.
bool stands_alone(const json::Value& value, int& values) {
  if (--values < 0) return false;
  if (value.is(json::Type::array))
    return std::ranges::all_of(value.array(), [&](const json::Value& item) { return stands_alone(item, values); });
  return !value.is(json::Type::object) || std::ranges::all_of(value.object(), [&](const json::Member& member) {
    return !member.key.starts_with('$') && stands_alone(member.value, values);
  });
}

}  // namespace

Result<std::shared_ptr<const schema::Validator>> Compiled::validator(const json::Value& schema,
                                                                     Direction direction) const {
  const auto* target = &schema;
  if (const auto* ref = schema.find("$ref");
      ref && (schema.object().size() == 1 || dialect == schema::CompileOptions::Dialect::openapi30))
    if (const auto* found = dereference(*root, schema)) target = found;
  const std::scoped_lock lock(mutex_);
  auto& shared = shared_[{target, direction}];
  if (shared) return shared;
  int values = 24;
  std::shared_ptr<const schema::Validator>* alike = nullptr;
  if (stands_alone(*target, values))
    alike = &alike_[json::to_string(*target) + static_cast<char>('0' + static_cast<int>(direction))];
  if (alike && *alike) return shared = *alike;
  auto compiled = compile(*target, direction);
  if (!compiled) return std::unexpected(std::move(compiled).error());
  shared = std::make_shared<const schema::Validator>(std::move(*compiled));
  if (alike) *alike = shared;
  return shared;
}

std::shared_ptr<const Marked> Compiled::marked(const json::Value& schema, Mark mark) const {
  const auto* target = &schema;
  if (const auto* ref = schema.find("$ref"); ref && schema.object().size() == 1)
    if (const auto* found = dereference(*root, schema)) target = found;
  const std::scoped_lock lock(mutex_);
  auto& any = any_mark_[static_cast<std::size_t>(mark)];
  if (!any) any = has_mark(*root, mark);
  // Most documents have none: then no schema is taken apart.
  auto& found = marked_[{*any ? target : nullptr, mark}];
  if (!found) found = std::make_shared<const Marked>(*root, *any ? *target : Value::of(true), mark);
  return found;
}

}  // namespace plimsoll::contract
