#include "plimsoll/handler/table/parameters.hpp"

#include "plimsoll/contract/path_item.hpp"
#include "plimsoll/handler/table/answers.hpp"
#include "plimsoll/handler/table/cursor.hpp"
#include "plimsoll/handler/table/effective.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/format.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

using json::Type;
using json::Value;
using json::Writer;

constexpr std::int64_t kMostListed = 100;

/// The schema of a value to compare with: its type, but not the bounds that only stored values must keep.
void write_value_schema(Writer& out, const Column& column, bool with_words) {
  out.begin_object();
  switch (column.kind) {
    case Kind::integer: out.key("type").string("integer").key("format").string("int64"); break;
    case Kind::real:
    case Kind::number: out.key("type").string("number"); break;
    case Kind::boolean: out.key("type").string("boolean"); break;
    case Kind::decimal:
      out.key("type").string("string").key("pattern").string("^-?[0-9]{1,100}(\\.[0-9]{1,100})?$");
      break;
    case Kind::instant:
      out.key("anyOf").begin_array();
      for (std::string_view format : {"date-time", "date"})
        out.begin_object().key("type").string("string").key("format").string(format).end_object();
      out.end_array();
      break;
    default:
      out.key("type").string("string").key("maxLength").integer(1'000);
      if (schema::find_format(column.format)) out.key("format").string(column.format);
      if (auto* words = column.words; with_words && words) {
        out.key("enum").begin_array();
        for (auto& word : words->array())
          if (word.is(Type::string)) out.value(word);
        out.end_array();
      }
  }
  out.end_object();
}

void begin_parameter(Writer& out, std::string_view name, std::string_view description) {
  out.begin_object();
  out.key("name").string(name).key("in").string("query").key("description").string(description);
}

void write_list(Writer& out, std::string_view name, std::string_view description,
                const std::vector<std::string>& words) {
  begin_parameter(out, name, description);
  out.key("style").string("form").key("explode").boolean(false);
  out.key("schema").begin_object();
  out.key("type").string("array").key("minItems").integer(1).key("uniqueItems").boolean(true);
  out.key("maxItems").integer(static_cast<std::int64_t>(words.size()));
  out.key("items").begin_object().key("type").string("string").key("enum").begin_array();
  for (auto& word : words) out.string(word);
  out.end_array().end_object().end_object().end_object();
}

void write_text(Writer& out, std::string_view name, std::string_view description, std::int64_t longest,
                std::string_view pattern = {}) {
  begin_parameter(out, name, description);
  out.key("schema").begin_object().key("type").string("string").key("minLength").integer(1);
  out.key("maxLength").integer(longest);
  if (!pattern.empty()) out.key("pattern").string(pattern);
  out.end_object().end_object();
}

void write_filter(Writer& out, const Column& column, const Filter& filter) {
  const auto rows = [&](std::string_view sentence) {
    auto text = "Rows whose `" + column.name + "` " + std::string(sentence) + ".";
    if (column.kind == Kind::instant) text += " A date is its first instant in UTC.";
    return text;
  };
  // Equality and lists share the bare name: a list of one is equality.
  if (filter.has(Operator::in)) {
    begin_parameter(out, column.name, rows("is one of these, separated by commas"));
    out.key("style").string("form").key("explode").boolean(false);
    out.key("schema").begin_object().key("type").string("array").key("minItems").integer(1);
    out.key("maxItems").integer(kMostListed).key("items");
    write_value_schema(out, column, true);
    out.end_object().end_object();
  } else if (filter.has(Operator::eq)) {
    begin_parameter(out, column.name, rows("is this"));
    out.key("schema");
    write_value_schema(out, column, true);
    out.end_object();
  }
  constexpr std::pair<Operator, std::string_view> kSentences[] = {
      {Operator::ne, "is not this"},
      {Operator::lt, "is less than this"},
      {Operator::le, "is at most this"},
      {Operator::gt, "is greater than this"},
      {Operator::ge, "is at least this"},
      {Operator::like, "matches this pattern: `%` and `*` any text, `_` one character"},
      {Operator::is_null, "is null (`true`), or is not (`false`)"}};
  for (auto& [op, sentence] : kSentences) {
    if (!filter.has(op)) continue;
    begin_parameter(out, filter_parameter(column, op), rows(sentence));
    out.key("schema");
    if (op == Operator::is_null)
      out.begin_object().key("type").string("boolean").end_object();
    else if (op == Operator::like)
      out.begin_object().key("type").string("string").key("maxLength").integer(200).end_object();
    else
      write_value_schema(out, column, op == Operator::ne);
    out.end_object();
  }
}

constexpr std::string_view kFieldsPattern = "^[^,()]+[^\\s]*$";

void write_shape(Writer& out, const Table& table, const EmbedAccess& access, bool known) {
  write_text(out, "fields", "Only these fields: `id,total,items(sku)`.", 2'000, kFieldsPattern);
  if (table.embeds.empty()) return;
  std::vector<std::string> names;
  std::string sentences = "Rows of other tables to show inside.";
  for (auto& embed : table.embeds) {
    names.push_back(embed.name);
    if (embed.many())
      sentences += " `" + embed.name + "` shows at most " + std::to_string(embed.limit) + "; `" + embed.more +
                   "` is true beside it where there are more.";
    if (const auto needed = access.words(embed, known); !needed.empty())
      sentences += " `" + embed.name + "` needs " + needed + ".";
  }
  write_list(out, "embed", sentences, names);
}

void write_page(Writer& out, const Table& table) {
  if (!table.sort.empty()) {
    std::vector<std::string> words;
    auto sortable = table.sort;
    for (auto key : table.keys)
      if (std::ranges::find(sortable, key) == sortable.end()) sortable.push_back(key);
    for (auto column : sortable) {
      words.push_back(table.columns[column].name);
      words.push_back("-" + table.columns[column].name);
    }
    write_list(out, "sort", "Columns to sort by, `-` for descending; nulls are last.", words);
  }
  begin_parameter(out, "limit", "Rows of a page.");
  out.key("schema").begin_object().key("type").string("integer").key("minimum").integer(1);
  out.key("maximum").integer(table.page_max).key("default").integer(table.page_default);
  out.end_object().end_object();
  write_text(out, "cursor", "Where the page begins: `next_cursor` or `prev_cursor` of another page of the same list.",
             std::int64_t{CursorKey::kLongest}, "^[A-Za-z0-9_-]+$");
  begin_parameter(out, "page", "The page by its number, from 1; not beyond row 10,000.");
  out.key("schema").begin_object().key("type").string("integer").key("minimum").integer(1);
  out.key("maximum").integer(10'000).end_object().end_object();
  begin_parameter(out, "count", "`exact`: `total` is the number of all rows.");
  out.key("schema").begin_object().key("type").string("string").key("enum").begin_array().string("exact").end_array();
  out.end_object().end_object();
  if (!table.search.empty()) write_text(out, "q", "Rows in which all these words are found.", 200);
}

/// Whether no alternative of the operation's security lets in callers that no scheme knows.
bool knows_callers(const Value& root, const Value& operation) {
  const auto* security = operation.find("security");
  if (!security) security = root.find("security");
  return security && security->is(Type::array) && !security->array().empty() &&
         std::ranges::none_of(security->array(),
                              [](auto& way) { return !way.is(Type::object) || way.object().empty(); });
}

/// Adds to an operation the parameters it does not have yet.
void add_parameters(contract::Draft& draft, Value& operation, const Value* of_path, const Plan& plan,
                    const EmbedAccess& access, SharedValues& shared) {
  Arena arena;
  const auto text = parameters_of(plan, access, knows_callers(draft.root, operation));
  auto made = json::parse(text, arena);
  if (!made) return;
  std::vector<std::string_view> known;
  for (auto* list : {operation.find("parameters"), of_path ? const_cast<Value*>(of_path) : nullptr})
    if (list)
      for (auto& parameter : list->array()) {
        auto& resolved = follow(draft.root, parameter);
        if (auto *name = resolved.find("name"), *in = resolved.find("in"); name && in && in->string() == "query")
          known.push_back(name->string());
      }
  auto* list = operation.find("parameters");
  if (!list) {
    operation.set(draft.arena, "parameters", Value::array({}));
    list = operation.find("parameters");
  }
  if (!list->is(Type::array)) return;  // refused where the structure is checked
  for (auto& parameter : made->array())
    if (std::ranges::find(known, parameter.find("name")->string()) == known.end())
      list->push(draft.arena, shared.of(json::to_string(parameter)));
}

/// A merge patch has a media type of its own (RFC 7396); whoever takes JSON for it takes that too.
void accept_merge_patch(contract::Draft& draft, Value& operation) {
  constexpr std::string_view kJson = "application/json", kPatch = "application/merge-patch+json";
  auto* declared = operation.find("requestBody");
  if (!declared) return;
  auto body = follow(draft.root, *declared).clone(draft.arena);
  auto* content = body.find("content");
  const auto* json = content ? content->find(kJson) : nullptr;
  if (!json || content->find(kPatch)) return;
  content->set(draft.arena, kPatch, json->clone(draft.arena));
  operation.set(draft.arena, "requestBody", body);
}

const Value* extension(const Value& scope, std::string_view key) {
  auto* all = scope.find("x-plimsoll");
  return all ? all->find(key) : nullptr;
}

}  // namespace

std::string filter_parameter(const Column& column, Operator op) {
  if (op == Operator::eq || op == Operator::in) return column.name;
  return column.name + "[" + std::string(kOperatorNames[static_cast<std::size_t>(op)]) + "]";
}

std::string parameters_of(const Plan& plan, const EmbedAccess& access, bool known) {
  std::string text;
  Writer out{text};
  out.begin_array();
  if (plan.action == Action::list) {
    for (auto& filter : plan.table->filters)
      if (std::ranges::none_of(plan.fixed, [&](auto& f) { return f.column == filter.column; }))
        write_filter(out, plan.table->columns[filter.column], filter);
    write_page(out, *plan.table);
  }
  if (plan.action == Action::list || plan.action == Action::read) write_shape(out, *plan.table, access, known);
  out.end_array();
  return text;
}

contract::Complaint complaint(const Wrong& wrong, const std::vector<std::string>& files) {
  return {.severity = contract::Complaint::Severity::error,
          .code = "invalid-table",
          .file = contract::file_of(files, wrong.at),
          .at = wrong.at ? wrong.at->position() : json::Position{},
          .pointer = wrong.pointer,
          .what = wrong.what,
          .remedy = wrong.remedy};
}

void augment(contract::Draft& draft) {
  std::vector<Wrong> wrong;
  const auto model = read_model(draft.root, wrong);
  for (auto& fault : wrong) draft.complaints.push_back(complaint(fault, draft.files));
  auto* paths = draft.root.find("paths");
  if (!wrong.empty() || !paths || !paths->is(Type::object)) return;
  const EmbedAccess access{draft.root, model};
  SharedValues shared{draft.arena};
  for (auto& path : paths->object())
    contract::for_each_operation(
        path.value, [&](const std::string& method, const std::string& place, Value& operation) {
          const auto in_force = [&](std::string_view key) {
            auto* inner = extension(operation, key);
            return inner ? inner : extension(path.value, key);
          };
          auto* options = in_force("table");
          if (!options) return;
          auto made = plan(model, method, path.key, *options, in_force("batch"), in_force("file"));
          if (!made) {
            std::string pointer = "/paths";
            json::append_token(pointer, path.key);
            draft.complaints.push_back(complaint({options, pointer + place + "/x-plimsoll/table", made.error(),
                                                  "docs/tables.md describes what method and path determine."},
                                                 draft.files));
            return;
          }
          add_parameters(draft, operation, path.value.find("parameters"), *made, access, shared);
          if (made->action == Action::update) {
            accept_merge_patch(draft, operation);
            declare_patch(draft, operation, *made);
          }
          add_answer(draft, operation, *made, shared);
        });
}

}  // namespace plimsoll::table
