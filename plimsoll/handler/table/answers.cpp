#include "plimsoll/handler/table/answers.hpp"

#include "plimsoll/exchange/permission.hpp"
#include "plimsoll/handler/table/export.hpp"
#include "plimsoll/handler/table/operation.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

using json::Type;
using json::Value;
using json::Writer;

/// The status of success; empty where it has no body.
std::string_view status_of(const Plan& plan) {
  switch (plan.action) {
    case Action::list:
    case Action::read:
    case Action::update:
    case Action::replace: return "200";
    case Action::create: return "201";
    case Action::remove:
    case Action::file: return {};
    case Action::batch:
      if (!plan.batch->all_or_nothing) return "207";
      return plan.batch->action == Action::create ? "201" : plan.batch->action == Action::update ? "200" : "";
  }
  return {};
}

/// The schema of a row as the declaration of its table names it.
void write_row(Writer& out, const Table& table) {
  const auto& named = *table.at->find("schema");
  if (named.is(Type::string))
    out.begin_object().key("$ref").string(named.string()).end_object();
  else
    out.raw(json::to_string(named));
}

void write_rows(Writer& out, const Table& table) {
  out.begin_object().key("type").string("array").key("items");
  write_row(out, table);
  out.end_object();
}

/// `nullable` is how OpenAPI 3.0 says it.
void write_cursor(Writer& out, std::string_view description, bool old) {
  out.begin_object().key("description").string(description).key("type");
  if (old)
    out.string("string").key("nullable").boolean(true);
  else
    out.begin_array().string("string").string("null").end_array();
  out.end_object();
}

void write_page(Writer& out, const Table& table, bool old) {
  const auto named = [&](std::string_view snake, std::string_view camel) { return table.camel ? camel : snake; };
  const auto next = named("next_cursor", "nextCursor"), prev = named("prev_cursor", "prevCursor"),
             more = named("has_more", "hasMore");
  out.begin_object().key("type").string("object").key("required").begin_array();
  for (auto name : {std::string_view("data"), next, prev, more}) out.string(name);
  out.end_array().key("properties").begin_object().key("data");
  write_rows(out, table);
  write_cursor(out.key(next), "`cursor` of the page behind this one; null at the end.", old);
  write_cursor(out.key(prev), "`cursor` of the page before this one; null at the beginning.", old);
  out.key(more).begin_object().key("type").string("boolean").end_object();
  out.key("total").begin_object().key("type").string("integer");
  out.key("description").string("The number of all rows, with `count=exact`.").end_object();
  out.end_object().end_object();
}

void write_results(Writer& out, const Table& table) {
  out.begin_object().key("type").string("object").key("required").begin_array().string("results").end_array();
  out.key("properties").begin_object().key("results").begin_object().key("type").string("array");
  out.key("description").string("One for each item, in its order.").key("items").begin_object();
  out.key("type").string("object").key("required").begin_array().string("status").end_array();
  out.key("properties").begin_object();
  out.key("status").begin_object().key("type").string("integer").end_object().key("data");
  write_row(out, table);
  out.key("error").begin_object().key("type").string("object").key("required").begin_array();
  out.string("code").string("title").end_array().key("properties").begin_object();
  out.key("code").begin_object().key("type").string("string").key("enum").begin_array();
  for (const auto* problem : {&kInvalidRow, &kNoSuchRow, &database::kConflict, &database::kConstraint,
                              &database::kResponseTooLarge, &kForbidden})
    out.string(problem->code);
  out.end_array().end_object();
  for (auto name : {"title", "detail"}) out.key(name).begin_object().key("type").string("string").end_object();
  out.key("errors").begin_object().key("type").string("array").key("items").begin_object();
  out.key("type").string("object").key("required").begin_array();
  for (auto name : {"in", "pointer", "keyword", "message"}) out.string(name);
  out.end_array().key("properties").begin_object();
  for (auto name : {"in", "pointer", "keyword", "message"})
    out.key(name).begin_object().key("type").string("string").end_object();
  out.end_object().end_object().end_object().end_object().end_object();
  out.end_object().end_object().end_object().end_object().end_object();
}

std::string schema_of(const Plan& plan, bool old) {
  std::string text;
  Writer out{text};
  if (plan.action == Action::list) {
    write_page(out, *plan.table, old);
  } else if (plan.action != Action::batch) {
    write_row(out, *plan.table);
  } else if (!plan.batch->all_or_nothing) {
    write_results(out, *plan.table);
  } else {
    out.begin_object().key("type").string("object").key("required").begin_array().string("data").end_array();
    write_rows(out.key("properties").begin_object().key("data"), *plan.table);
    out.end_object().end_object();
  }
  return text;
}

/// Says what is in the media types of a list that declares CSV or NDJSON, as far as it does not say so itself. False
/// where it declares neither.
bool add_formats(contract::Draft& draft, Value& content, const Plan& plan, bool old) {
  const auto is_other = [](const json::Member& media) { return format_of(media.key) != Format::json; };
  if (!content.is(Type::object) || std::ranges::none_of(content.object(), is_other)) return false;
  for (auto& media : content.object()) {
    if (!media.value.is(Type::object) || media.value.find("schema") || media.value.find("itemSchema") ||
        media.value.find("$ref"))
      continue;
    std::string text;
    Writer out{text};
    switch (format_of(media.key)) {
      case Format::csv: out.begin_object().key("type").string("string").end_object(); break;
      case Format::ndjson: write_rows(out, *plan.table); break;
      case Format::json: write_page(out, *plan.table, old); break;
    }
    if (auto schema = json::parse(draft.arena.keep(text), draft.arena)) media.value.set(draft.arena, "schema", *schema);
  }
  return true;
}

}  // namespace

void add_answer(contract::Draft& draft, Value& operation, const Plan& plan, SharedValues& shared) {
  const auto status = status_of(plan);
  auto* responses = operation.find("responses");
  if (plan.file && responses && responses->is(Type::object)) {
    const auto answers = [&](std::string_view code, std::string_view description) {
      if (responses->find(code)) return;
      Value without_body = Value::object({});
      without_body.set(draft.arena, "description", Value::of(description));
      responses->set(draft.arena, code, without_body);
    };
    using enum Plan::File::Does;
    if (plan.file->does == store) answers("201", "Stored; there was none before.");
    if (plan.file->does == store) answers("204", "Stored in place of the one before.");
    if (plan.file->does == remove) answers("204", "Removed.");
    return;
  }
  if (responses && responses->is(Type::object) && may_be_minimal(plan) && !responses->find("204")) {
    Value without_body = Value::object({});
    without_body.set(draft.arena, "description", Value::of("Done; the caller requested no body."));
    responses->set(draft.arena, "204", without_body);
  }
  auto* declared = responses && !status.empty() ? responses->find(status) : nullptr;
  if (!declared || !declared->is(Type::object)) return;
  auto answer = follow(draft.root, *declared).clone(draft.arena);
  if (!answer.is(Type::object)) return;
  const auto* version = draft.root.find("openapi");
  const bool old = version && version->is(Type::string) && version->string().starts_with("3.0");
  if (auto* content = answer.find("content")) {
    if (plan.action == Action::list && add_formats(draft, *content, plan, old))
      responses->set(draft.arena, status, answer);
    return;
  }
  answer.set(draft.arena, "content", shared.of(R"({"application/json":{"schema":)" + schema_of(plan, old) + "}}"));
  responses->set(draft.arena, status, answer);
}

}  // namespace plimsoll::table
