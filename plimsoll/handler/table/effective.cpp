#include "plimsoll/handler/table/effective.hpp"

#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/exchange/body_memory.hpp"
#include "plimsoll/exchange/permission.hpp"
#include "plimsoll/exchange/shared.hpp"
#include "plimsoll/handler/table/export.hpp"
#include "plimsoll/handler/table/file_folder.hpp"
#include "plimsoll/handler/table/operation.hpp"
#include "plimsoll/handler/table/parameters.hpp"
#include "plimsoll/http/body_problems.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <set>

namespace plimsoll::table {
namespace {

using contract::Promises;
using json::Type;
using json::Value;
using json::Writer;

constexpr contract::HeaderField kRange{"Range", "The bytes that are wanted: `bytes=0-1023` (RFC 9110, section 14.2)."};
constexpr contract::HeaderField kIfRange{"If-Range", "An entity tag: `Range` counts only while it is current."};
constexpr contract::HeaderField kAcceptRanges{"Accept-Ranges", "`bytes`: `Range` is understood."};
constexpr contract::HeaderField kContentRange{"Content-Range", "The bytes that are sent, and the length of the file."};
constexpr contract::HeaderField kDisposition{"Content-Disposition", "Whether browsers show the file, and its name."};
constexpr contract::HeaderField kSentName{"Content-Disposition", "The name of the file: `attachment; filename=…`."};

/// The tables of the document that is described.
struct Described {
  explicit Described(const Value& root) {
    std::vector<Wrong> wrong;
    model = read_model(root, wrong);
    if (!wrong.empty()) model = {};
    access.emplace(root, model);
  }
  Model model;
  std::optional<EmbedAccess> access;
  std::set<std::string> written;  ///< tables whose partial rows are components already
};

/// `Order` where the schema of the rows is `#/components/schemas/Order`; else the table's own name.
std::string row_name(const Table& table) {
  constexpr std::string_view kComponents = "#/components/schemas/";
  if (const auto* named = table.at->find("schema"); named && named->is(Type::string))
    if (const auto text = named->string(); text.starts_with(kComponents))
      if (const auto name = text.substr(kComponents.size()); name.find_first_of("/~%") == name.npos)
        return std::string(name);
  std::string name;
  for (const char c : table.name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += plain || c == '_' || c == '-' || c == '.' ? c : '_';
  }
  return name;
}
std::string partial_name(const Table& table) { return "Partial" + row_name(table); }

/// A schema that refers to the rows as the declaration of the table does.
std::string row_schema(const Table& table) {
  const auto* named = table.at->find("schema");
  if (!named->is(Type::string)) return json::to_string(*named);
  std::string out;
  Writer{out}.begin_object().key("$ref").string(named->string()).end_object();
  return out;
}

bool is_old(const Value& root) {
  const auto* version = root.find("openapi");
  return version && version->is(Type::string) && version->string().starts_with("3.0");
}
/// `nullable` is how OpenAPI 3.0 says it.
std::string or_null(const std::string& schema, bool old) {
  return R"({"anyOf":[)" + schema + (old ? R"(,{"nullable":true,"enum":[null]}]})" : R"(,{"type":"null"}]})");
}

/// A schema without some of its own keywords.
std::string without(const Value& schema, std::initializer_list<std::string_view> keywords) {
  if (!schema.is(Type::object)) return json::to_string(schema);
  std::string out;
  Writer writer{out};
  writer.begin_object();
  for (const auto& [key, value, at] : schema.object())
    if (std::ranges::find(keywords, key) == keywords.end()) writer.key(key).value(value);
  writer.end_object();
  return out;
}

bool is_closed(const Table& table) {
  const auto* more = table.schema->find("additionalProperties");
  return more && more->is(Type::boolean) && !more->boolean();
}

void begin_object(Writer& out, std::string_view description, const Table& table) {
  out.begin_object().key("type").string("object").key("description").string(description);
  if (is_closed(table)) out.key("additionalProperties").boolean(false);
}

/// A row of which the caller chooses the members, with those of other tables inside.
void add_partial(const Table& table, Described& described, const Value& root, Promises& promises) {
  if (!described.written.insert(table.name).second) return;
  std::string text;
  Writer out{text};
  begin_object(out, "The members that `fields` names, or all; those that `embed` names beside them.", table);
  out.key("properties").begin_object();
  for (const auto& column : table.columns)
    if (!column.write_only) out.key(column.name).raw(without(*column.schema, {"default"}));
  std::vector<const Table*> others;
  for (const auto& embed : table.embeds) {
    const auto* other = described.model.find(embed.table);
    if (!other) continue;
    others.push_back(other);
    const auto row = R"({"$ref":")" + std::string(Promises::kAdded) + partial_name(*other) + "\"}";
    out.key(embed.name);
    if (!embed.many()) {
      out.raw(or_null(row, is_old(root)));
      continue;
    }
    out.begin_object()
        .key("type")
        .string("array")
        .key("maxItems")
        .integer(embed.limit)
        .key("items")
        .raw(row)
        .end_object();
    out.key(embed.more).begin_object().key("type").string("boolean").key("description");
    out.string("There are more than " + std::to_string(embed.limit) + ".").end_object();
  }
  out.end_object().end_object();
  promises.component(partial_name(table), std::move(text), Promises::Use::response);
  for (const auto* other : others) add_partial(*other, described, root, promises);
}

/// What a merge patch of a row may hold; `read_only` members too, which are passed over.
std::string patch_schema(const Table& table, bool old) {
  std::string text;
  Writer out{text};
  begin_object(out, "A JSON merge patch (RFC 7396): what is left out stays as it is.", table);
  out.key("properties").begin_object();
  for (const auto& column : table.columns) {
    auto schema = without(*column.schema, {"default"});
    // A patch of an object is merged into it.
    if (column.kind == Kind::json) schema = without(*column.schema, {"default", "required", "minProperties"});
    const bool removable = !column.required && !column.nullable && !column.read_only;
    out.key(column.name).raw(removable ? or_null(schema, old) : schema);
  }
  out.end_object().end_object();
  return text;
}

/// A column of the key as a request writes it, whatever its schema says of who makes it.
std::string key_schema(const Table& table, std::size_t key, const Value& root) {
  return without(follow(root, *table.columns[key].schema), {"readOnly", "default"});
}

/// Lists, as `required`, the columns of the key that a batch leaves open.
void require_open(Writer& out, const Plan& plan) {
  const auto open = open_keys(plan);
  if (open.empty()) return;
  out.key("required").begin_array();
  for (auto key : open) out.string(plan.table->columns[key].name);
  out.end_array();
}

/// An item of a batch of deletions.
std::string removal_schema(const Plan& plan, const Value& root) {
  const auto& table = *plan.table;
  if (const auto open = open_keys(plan); open.size() == 1) return key_schema(table, open[0], root);
  std::string text;
  Writer out{text};
  out.begin_object().key("type").string("object").key("description").string("The key of a row.");
  require_open(out, plan);
  out.key("properties").begin_object();
  for (auto key : table.keys) out.key(table.columns[key].name).raw(key_schema(table, key, root));
  out.end_object().end_object();
  return text;
}

/// An item of a batch of changes: the key says which row.
std::string change_schema(const Plan& plan, const Value& root, bool old) {
  const auto& table = *plan.table;
  std::string text;
  Writer out{text};
  begin_object(out, "The key of a row and what changes in it.", table);
  require_open(out, plan);
  out.key("properties").begin_object();
  for (auto key : table.keys) out.key(table.columns[key].name).raw(key_schema(table, key, root));
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    if (table.is_key(i) || column.read_only) continue;
    const auto schema = without(*column.schema, {"default"});
    out.key(column.name).raw(column.required || column.nullable ? schema : or_null(schema, old));
  }
  out.end_object().end_object();
  return text;
}

std::string list_of(const std::string& item, std::int64_t most) {
  return R"({"type":"array","minItems":1,"maxItems":)" + std::to_string(most) + R"(,"items":)" + item + "}";
}

void describe_body(const Table& table, const Plan& plan, const Value& root, Promises& promises) {
  const bool old = is_old(root);
  if (plan.action == Action::create || plan.action == Action::replace) return promises.takes_body(row_schema(table));
  if (plan.action == Action::update) return promises.takes_body(patch_schema(table, old));
  if (!plan.batch) return;
  const auto most = plan.batch->max;
  if (plan.batch->import) {
    promises.takes_body(R"({"type":"array","description":"The rows, each in a line.","maxItems":)" +
                        std::to_string(most) + R"(,"items":)" + row_schema(table) + "}");
    promises.sends_body(200, "application/json",
                        R"({"type":"object","required":["imported"],"properties":{"imported":)"
                        R"({"type":"integer","minimum":0,"description":"How many rows were stored."}}})");
    return;
  }
  if (plan.batch->action == Action::create) return promises.takes_body(list_of(row_schema(table), most));
  const bool removes = plan.batch->action == Action::remove;
  auto name = row_name(table) + (removes ? "Key" : "Change");
  for (auto& fixed : plan.fixed)
    if (table.is_key(fixed.column)) (name += "_of_") += table.columns[fixed.column].name;
  promises.component(name, removes ? removal_schema(plan, root) : change_schema(plan, root, old),
                     Promises::Use::request);
  promises.in_requests(*table.schema, name);
  promises.takes_body(list_of(R"({"$ref":")" + std::string(Promises::kAdded) + name + "\"}", most));
}

/// Whether an object that satisfies the schema is said to have the member.
bool declares(const Value& root, const Value& schema, std::string_view member, int depth = 0) {
  const auto& value = follow(root, schema);
  if (depth > 8 || !value.is(Type::object)) return false;
  if (value.at("properties", member)) return true;
  const auto* parts = value.find("allOf");
  return parts &&
         std::ranges::any_of(parts->array(), [&](const auto& part) { return declares(root, part, member, depth + 1); });
}

/// What a page has beside its rows, as far as the contract does not declare it.
std::vector<std::pair<std::string, std::string>> page_members(const Table& table, const contract::Operation& operation,
                                                              const Value& root) {
  const auto cursor = or_null(R"({"type":"string"})", is_old(root));
  const auto named = [&](std::string_view snake, std::string_view camel) {
    return std::string(table.camel ? camel : snake);
  };
  std::vector<std::pair<std::string, std::string>> all{{named("next_cursor", "nextCursor"), cursor},
                                                       {named("prev_cursor", "prevCursor"), cursor},
                                                       {named("has_more", "hasMore"), R"({"type":"boolean"})"},
                                                       {"total", R"({"type":"integer"})"}};
  for (const auto& spec : operation.responses)
    for (const auto& media : spec.content)
      if (spec.status == "200" && media.schema)
        std::erase_if(all, [&](const auto& member) { return declares(root, *media.schema, member.first); });
  return all;
}

/// What a list of words has to be like where the contract takes it as one text.
std::string words_schema(const Value& words) {
  std::string any;
  for (const auto& word : words.array()) {
    any += any.empty() ? "" : "|";
    for (const char c : word.string()) {
      if (std::string_view(R"(\^$.|?*+()[]{}/)").contains(c)) any += '\\';
      any += c;
    }
  }
  std::string out;
  Writer{out}.begin_object().key("pattern").string("^(" + any + ")(,(" + any + "))*$").end_object();
  return out;
}

/// The contract may declare parameters of lists and rows itself, and say less of them than the server asks for.
void narrow_parameters(const Plan& plan, const contract::Operation& operation, const Described& described,
                       const Value& root, Promises& promises) {
  Arena arena;
  const auto text = parameters_of(plan, *described.access, true);
  const auto all = json::parse(text, arena);
  if (!all) return;
  for (const auto& parameter : all->array()) {
    const auto name = parameter.find("name")->string();
    const auto& ours = *parameter.find("schema");
    const auto declared = std::ranges::find_if(operation.parameters, [&](const auto& each) {
      return each.in == contract::In::query && each.name == name && each.schema;
    });
    if (declared == operation.parameters.end()) continue;
    const auto schema = json::to_string(ours);
    if (json::to_string(*declared->schema) == schema) continue;  // the server has added it
    const auto* type = follow(root, *declared->schema).find("type");
    const bool one = !type || !type->is(Type::string) || type->string() != "array";
    const auto* items = ours.find("items");
    const auto* words = items ? items->find("enum") : nullptr;
    // How long a text may be is said only where the server itself says what is asked.
    if (one && words)
      promises.narrows(name, words_schema(*words));
    else
      promises.narrows(name, without(one && items ? *items : ours, {"default", "description", "maxLength"}));
  }
}

void describe_read(const Table& table, const Plan& plan, const contract::Operation& operation, Described& described,
                   const Value& root, Promises& promises) {
  const bool list = plan.action == Action::list;
  narrow_parameters(plan, operation, described, root, promises);
  add_partial(table, described, root, promises);
  if (list)
    promises.in_pages(*table.schema, partial_name(table), "data", page_members(table, operation, root));
  else
    promises.in_responses(*table.schema, partial_name(table));
  promises.refuses(kInvalidQuery);
  if (list) promises.refuses(kInvalidCursor);
  if (!list || !plan.fixed.empty()) promises.refuses(kNoSuchRow);
  if (!list) promises.refuses(kPreconditionFailed), promises.takes(contract::kIfMatch);
  if (!table.embeds.empty()) promises.refuses(kForbidden);
  promises.takes(contract::kIfNoneMatch);
  promises.answers(304, "The caller has the current representation.");
  promises.sends(contract::kEntityTag, contract::kSuccessOrUnchanged);
  promises.sends(contract::kCacheControl, contract::kSuccessOrUnchanged);
  if (!list) return;
  promises.sends(contract::kLink, contract::kSuccessOrUnchanged);
  if (std::ranges::any_of(types_of(operation), [](auto type) { return format_of(type) != Format::json; }))
    promises.sends(contract::kVary, contract::kSuccess);
}

void describe_write(const Table& table, const Plan& plan, const Value& root, Promises& promises) {
  const bool creates = plan.action == Action::create;
  const bool one = !creates && plan.action != Action::batch;
  if (creates && std::ranges::any_of(table.files, &FileColumns::in_folder)) promises.refuses(kFilesUnavailable);
  promises.refuses(database::kConflict);
  promises.refuses(database::kWriteTooLong);
  if (plan.action != Action::remove) {
    promises.needs_body();
    promises.refuses(kInvalidRow);
    promises.refuses(database::kConstraint);
    describe_body(table, plan, root, promises);
  }
  if (!creates || !plan.fixed.empty()) promises.refuses(kNoSuchRow);
  if (plan.action == Action::batch) promises.refuses(kBatchTooLarge);
  if (creates) promises.sends(contract::kLocation, contract::kSuccess);
  if (creates || (one && plan.action != Action::remove)) promises.sends(contract::kEntityTag, contract::kSuccess);
  if (may_be_minimal(plan)) {
    promises.takes(contract::kPrefer);
    promises.answers(204, "Done; the caller requested no body.");
    promises.sends(contract::kPreferenceApplied, contract::only(204));
  }
  if (!one) return;
  promises.takes(contract::kIfMatch, table.require_match);
  promises.takes(contract::kIfNoneMatch);
  promises.refuses(kPreconditionFailed);
  if (table.require_match) promises.refuses(kPreconditionRequired);
}

void describe_file(const Table& table, const Plan& plan, const contract::Operation& operation, Promises& promises) {
  using enum Plan::File::Does;
  if (plan.file->is->in_folder() && plan.file->does != remove) promises.refuses(kFilesUnavailable);
  promises.refuses(kNoSuchRow);
  promises.refuses(kPreconditionFailed);
  promises.takes(contract::kIfMatch, table.require_match && plan.file->does == remove);
  promises.takes(contract::kIfNoneMatch);
  if (plan.file->does == send) {
    promises.takes(kRange);
    promises.takes(kIfRange);
    promises.refuses(kRangeNotSatisfiable);
    promises.answers(206, "The bytes that `Range` names.");
    promises.answers(304, "The caller has the current representation.");
    for (const auto& spec : operation.responses)
      for (const auto& media : spec.content)
        if (spec.status == "200") promises.sends_body(206, promises.keep(media.name), "{}");
    for (const auto* field : {&contract::kEntityTag, &contract::kCacheControl})
      promises.sends(*field, contract::kSuccessOrUnchanged);
    for (const auto* field : {&kAcceptRanges, &kDisposition}) promises.sends(*field, contract::kSuccess);
    promises.sends(kContentRange, contract::only(206));
    promises.sends(kContentRange, contract::only(416));
    return;
  }
  promises.refuses(database::kConflict);
  promises.refuses(database::kConstraint);
  promises.refuses(database::kWriteTooLong);
  if (table.require_match) promises.refuses(kPreconditionRequired);
  if (plan.file->does == remove) return;
  promises.needs_body();
  if (table.require_match) promises.notes("Needs `If-Match`, or `If-None-Match: *` where there is no file yet.");
  for (const auto* problem : {&kInvalidRow, &http::kBodyTooLarge, &kTooManyBodies}) promises.refuses(*problem);
  if (plan.file->is->file_name) promises.takes(kSentName);
  promises.sends(contract::kEntityTag, contract::kSuccess);
}

}  // namespace

void describe(const Value& options, const Description& description, Promises& promises) {
  const auto& root = *description.contract.root;
  const auto& operation = description.operation;
  const auto described = description.shared.of<Described>(root);
  const auto made = plan(described->model, operation.method, operation.path, options, operation.extension("batch"),
                         operation.extension("file"));
  if (!made) return;  // refuses the start, which says so
  const auto& table = *made->table;
  for (const auto* problem : {&database::kUnavailable, &database::kBusy, &database::kResponseTooLarge})
    promises.refuses(*problem);
  if (made->file)
    describe_file(table, *made, operation, promises);
  else if (made->action == Action::list || made->action == Action::read)
    describe_read(table, *made, operation, *described, root, promises);
  else
    describe_write(table, *made, root, promises);
}

void declare_patch(contract::Draft& draft, Value& operation, const Plan& plan) {
  auto* declared = operation.find("requestBody");
  if (!declared) return;
  auto body = follow(draft.root, *declared).clone(draft.arena);
  auto* content = body.find("content");
  if (!content || !content->is(Type::object)) return;
  std::optional<Value> patch;
  for (auto& media : content->object()) {
    const auto* schema = media.value.find("schema");
    if (!schema || &follow(draft.root, *schema) != plan.table->schema) continue;
    if (!patch) {
      const auto text = draft.arena.keep(patch_schema(*plan.table, is_old(draft.root)));
      auto parsed = json::parse(text, draft.arena);
      if (!parsed) return;
      patch = *parsed;
    }
    media.value.set(draft.arena, "schema", *patch);
  }
  if (patch) operation.set(draft.arena, "requestBody", body);
}

}  // namespace plimsoll::table
