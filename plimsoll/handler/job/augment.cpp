#include "plimsoll/contract/path_item.hpp"
#include "plimsoll/handler/job/declaration.hpp"
#include "plimsoll/json/parse.hpp"

#include <array>
#include <vector>

namespace plimsoll::handler::job {
namespace {

using json::Member;
using json::Type;
using json::Value;

constexpr std::string_view kStatusSchema = R"({
  "type": "object", "required": ["job_id", "status", "progress", "attempts", "enqueued_at"],
  "properties": {
    "job_id": {"type": "string", "format": "uuid"},
    "status": {"enum": ["scheduled", "available", "running", "retryable", "completed", "cancelled", "dead"]},
    "progress": {"type": "integer", "minimum": 0, "maximum": 100},
    "attempts": {"type": "integer", "minimum": 0},
    "enqueued_at": {"type": "string", "format": "date-time"},
    "started_at": {"type": ["string", "null"], "format": "date-time"},
    "finished_at": {"type": ["string", "null"], "format": "date-time"},
    "download_url": {"type": ["string", "null"]},
    "error": {"type": ["string", "null"]}}})";

constexpr std::string_view kAccepted = R"({"application/json": {"schema": {
  "type": "object", "required": ["job_id", "status_url"],
  "properties": {
    "job_id": {"type": "string", "format": "uuid"},
    "status_url": {"type": "string", "format": "uri-reference",
                   "description": "Where the job's status document is."}}}}})";
constexpr std::string_view kLocation = R"({"Location": {
  "description": "Where the job's status document is.", "schema": {"type": "string", "format": "uri-reference"}}})";

/// An operation of the draft that says `job`.
struct Found {
  std::string_view path;
  Value* operation;
  Declaration declaration;
};

std::vector<Found> jobs_of(contract::Draft& draft) {
  std::vector<Found> found;
  auto* paths = draft.root.find("paths");
  if (!paths) return found;
  for (auto& path : paths->object())
    contract::for_each_operation(path.value, [&](const std::string& method, const std::string&, Value& operation) {
      auto* extension = operation.find("x-plimsoll");
      const auto* options = extension ? extension->find("job") : nullptr;
      if (!options) return;
      // What cannot be read is told when the operation is built, with its line.
      if (auto read = job::read(*options, method)) found.push_back({path.key, &operation, std::move(*read)});
    });
  return found;
}

class Writing {
 public:
  explicit Writing(contract::Draft& draft) : draft_(draft), arena_(draft.arena) {}

  /// An operation beside `start`, at `path`.
  void add(const Found& start, const std::string& path, std::string_view method, Action action) {
    static constexpr std::array<std::string_view, 4> kSuffix{"", "Status", "Result", "Cancel"};
    static constexpr std::array<std::string_view, 4> kSummary{"", "Get the status of a job", "Get the result of a job",
                                                              "Cancel a job"};
    static constexpr std::array<std::string_view, 4> kNames{"start", "status", "result", "cancel"};
    const auto which = static_cast<std::size_t>(action);
    auto operation = Value::object({});
    if (auto* id = start.operation->find("operationId"))
      put(operation, "operationId", keep(std::string(id->string()) + std::string(kSuffix[which])));
    put(operation, "summary", Value::of(kSummary[which]));
    for (auto* inherited : {"tags", "security"})
      if (auto* value = start.operation->find(inherited)) put(operation, inherited, value->clone(arena_));
    put(operation, "parameters", parameters(start));
    put(operation, "responses", responses(action));

    auto job = Value::object({});
    const auto& said = *start.operation->find("x-plimsoll")->find("job");
    auto kind = keep(start.declaration.kind);
    kind.set_position(config::member_or(said, "kind").position());
    kind.set_source(said.source());
    put(job, "kind", kind);
    put(job, "action", Value::of(kNames[which]));
    job.set_position(said.position());
    job.set_source(said.source());
    auto extension = Value::object({});
    put(extension, "job", job);
    // It asks nothing of its caller that the operation which starts it does not ask; the owner is checked besides.
    auto* rule = start.operation->find("x-plimsoll")->find("authorization");
    auto* item_extension = draft_.root.find("paths")->find(start.path)->find("x-plimsoll");
    if (!rule && item_extension) rule = item_extension->find("authorization");
    if (rule) put(extension, "authorization", rule->clone(arena_));
    put(operation, "x-plimsoll", extension);
    operation.set_position(start.operation->position());

    auto* paths = draft_.root.find("paths");
    if (auto* item = paths->find(path)) {
      item->set(arena_, method, operation);
    } else {
      auto made = Value::object({});
      put(made, method, operation);
      paths->set(arena_, arena_.keep(path), made);
    }
  }

  /// What is in the response to an operation that starts a job, where the contract does not say it.
  void accept(const Found& start) {
    auto* responses = start.operation->find("responses");
    auto* accepted = responses ? responses->find("202") : nullptr;
    if (!accepted || !accepted->is(Type::object) || accepted->find("$ref")) return;
    if (!accepted->find("content")) put(*accepted, "content", parse(kAccepted));
    if (!accepted->find("headers")) put(*accepted, "headers", parse(kLocation));
  }

 private:
  void put(Value& object, std::string_view key, Value value) { object.set(arena_, key, value); }
  Value keep(const std::string& text) { return Value::of(arena_.keep(text)); }
  Value parse(std::string_view text) {
    auto value = json::parse(text, arena_);
    return value ? *value : Value{};
  }
  Value parameters(const Found& start) {
    auto list = parse(R"([{"name": "job_id", "in": "path", "required": true,
                           "schema": {"type": "string", "format": "uuid"}}])");
    if (auto* own = start.operation->find("parameters"))
      for (auto& each : own->array())
        if (auto* in = each.find("in"); in && in->string() == "path") list.push(arena_, each.clone(arena_));
    // Those of the path item are written at the new path too.
    if (auto* item = draft_.root.find("paths")->find(start.path))
      if (auto* shared = item->find("parameters"))
        for (auto& each : shared->array()) list.push(arena_, each.clone(arena_));
    return list;
  }
  Value responses(Action action) {
    switch (action) {
      case Action::status: {
        auto made = parse(R"({"200": {"description": "The status document",
                                       "content": {"application/json": {}}}})");
        auto* content = made.find("200")->find("content")->find("application/json");
        content->set(arena_, "schema", parse(kStatusSchema));
        return made;
      }
      case Action::result:
        return parse(R"({"200": {"description": "The result, in its own media type", "content": {"*/*": {}}}})");
      default: return parse(R"({"204": {"description": "Cancelled"}})");
    }
  }
  contract::Draft& draft_;
  Arena& arena_;
};

}  // namespace

void augment(contract::Draft& draft) {
  Writing writing{draft};
  const auto written = jobs_of(draft);
  for (auto& start : written) {
    if (start.declaration.action != Action::start) continue;
    writing.accept(start);
    auto has = [&](Action action) {
      for (auto& other : written)
        if (other.declaration.kind == start.declaration.kind && other.declaration.action == action) return true;
      return false;
    };
    const auto base = std::string(start.path) + (start.path.ends_with('/') ? "" : "/") + "{job_id}";
    if (!has(Action::status)) writing.add(start, base + "/status", "get", Action::status);
    if (!has(Action::result)) writing.add(start, base + "/result", "get", Action::result);
    if (!has(Action::cancel)) writing.add(start, base, "delete", Action::cancel);
  }
}

}  // namespace plimsoll::handler::job
