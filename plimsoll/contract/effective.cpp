#include "plimsoll/contract/effective.hpp"

#include "plimsoll/contract/header_fields.hpp"
#include "plimsoll/contract/members.hpp"
#include "plimsoll/contract/schema_view.hpp"
#include "plimsoll/contract/structure.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;
using Direction = SchemaView::Direction;
using View = SchemaView::View;

constexpr std::string_view kNotes = "x-notes";  ///< of an operation: how its requests are treated, in sentences
constexpr std::string_view kProblemType = "application/problem+json";
constexpr std::string_view kProblem = R"({"type":"object","title":"Problem","description":)"
                                      R"("What went wrong (RFC 9457).","required":["type","title","status","code"],)"
                                      R"("properties":{)"
                                      R"("type":{"type":"string","description":"A page about this problem."},)"
                                      R"("title":{"type":"string","description":"The same for every occurrence."},)"
                                      R"("status":{"type":"integer"},)"
                                      R"("detail":{"type":"string","description":"About this occurrence."},)"
                                      R"("instance":{"type":"string","description":"The path of the request."},)"
                                      R"("code":{"type":"string","description":"What programs decide by."},)"
                                      R"("trace_id":{"type":"string"},)"
                                      R"("policy":{"type":"string","description":"The policy that rejected."},)"
                                      R"("retry_after":{"type":"integer","minimum":0,"description":)"
                                      R"("Seconds to wait before the request is repeated."},)"
                                      R"("errors":{"type":"array","description":"All that is wrong with the request.",)"
                                      R"("items":{"type":"object","required":["in","pointer","keyword","message"],)"
                                      R"("properties":{"in":{"type":"string","description":)"
                                      R"("body, query, path, header or cookie"},)"
                                      R"("pointer":{"type":"string","description":"JSON pointer to the value."},)"
                                      R"("keyword":{"type":"string"},"message":{"type":"string"}}}}}})";

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

/// A schema that says no more than what kind of value it is.
bool says_nothing(const Contract& contract, const Value* schema) {
  if (!schema) return true;
  const auto& value = contract.resolve(*schema);
  if (!value.is(Type::object)) return true;
  return std::ranges::all_of(value.object(), [](const auto& member) {
    constexpr std::string_view kEmpty[] = {"type",         "description", "title",    "additionalProperties",
                                           "maxItems",     "minItems",    "nullable", "minProperties",
                                           "maxProperties"};
    if (member.key == "additionalProperties") return member.value.is(Type::boolean) && member.value.boolean();
    return std::ranges::find(kEmpty, member.key) != std::end(kEmpty) || member.key.starts_with("x-");
  });
}

class Document {
 public:
  Document(const Contract& contract, FunctionRef<void(const Operation&, Promises&)> describe, bool extensions)
      : contract_(contract), describe_(describe), extensions_(extensions), schemas_(contract, extensions) {
    for (const auto& operation : contract.operations) operations_.emplace(operation.raw, &operation);
  }

  std::string write() {
    std::string out;
    Members members{out};
    for (const auto& [key, value, at] : contract_.root->object()) {
      if (key == "components" || hidden(key)) continue;
      write_field(members.key(key), value, Kind::document, key, {});
    }
    write_components(members.key("components"));
    members.end();
    return out;
  }

 private:
  bool hidden(std::string_view key) const { return key == "x-plimsoll" && !extensions_; }

  // --- what is in the document ---

  void write_object(std::string& out, const Value& value, Kind kind, const View& view) {
    if (kind == Kind::schema) return schemas_.write(out, value, view);
    if (!value.is(Type::object) || kind == Kind::any || kind == Kind::example || value.find("$ref")) {
      json::Writer{out}.value(value);
      return;
    }
    if (kind == Kind::operation)
      if (const auto known = operations_.find(&value); known != operations_.end())
        return write_operation(out, value, *known->second);
    Members members{out};
    for (const auto& [key, member, at] : value.object()) {
      if (hidden(key)) continue;
      if (kind == Kind::callback && !key.starts_with("x-"))
        write_object(members.key(key), member, Kind::path_item, view);
      else
        write_field(members.key(key), member, kind, key, view);
    }
    members.end();
  }

  void write_field(std::string& out, const Value& value, Kind kind, std::string_view key, const View& view) {
    const auto fields = fields_of(kind);
    const auto field = std::ranges::find(fields, key, &FieldSpec::name);
    if (field == fields.end() || field->kind == Kind::any) {
      json::Writer{out}.value(value);
    } else if (field->shape == Shape::map && value.is(Type::object)) {
      Members entries{out};
      for (const auto& entry : value.object())
        if (extends(kind, field->name, entry.key)) {
          if (!hidden(entry.key)) json::Writer{entries.key(entry.key)}.value(entry.value);
        } else {
          write_object(entries.key(entry.key), entry.value, field->kind, view);
        }
      entries.end();
    } else if (field->shape == Shape::list && value.is(Type::array)) {
      out += '[';
      for (std::size_t i = 0; i < value.array().size(); ++i) {
        if (i) out += ',';
        write_object(out, value.array()[i], field->kind, view);
      }
      out += ']';
    } else {
      write_object(out, value, field->kind, view);
    }
  }

  // --- an operation ---

  void write_operation(std::string& out, const Value& raw, const Operation& operation) {
    Promises promises;
    describe_(operation, promises);
    for (const auto& [name, schema, use] : promises.components())
      schemas_.add(name, schema, use == Promises::Use::request ? Direction::request : Direction::response);
    Members members{out};
    for (const auto& [key, value, at] : raw.object()) {
      if (hidden(key) || key == "parameters" || key == "requestBody" || key == "responses") continue;
      write_field(members.key(key), value, Kind::operation, key, {});
    }
    write_parameters(members, raw, operation, promises);
    if (const auto* body = raw.find("requestBody")) write_request(members.key("requestBody"), *body, promises);
    write_responses(members.key("responses"), raw.find("responses"), promises);
    if (!promises.notes().empty() && !raw.find(kNotes)) {
      json::Writer out(members.key(kNotes));
      out.begin_array();
      for (const auto& sentence : promises.notes()) out.string(sentence);
      out.end_array();
    }
    members.end();
  }

  void write_parameters(Members& members, const Value& raw, const Operation& operation, const Promises& promises) {
    std::vector<const Promises::Taken*> more;
    for (const auto& taken : promises.taken_headers()) {
      const auto said = [&](const Parameter& own) {
        return own.in == In::header && same_word(own.name, taken.field.name);
      };
      const auto known = [&](const Promises::Taken* each) { return same_word(each->field.name, taken.field.name); };
      if (std::ranges::none_of(operation.parameters, said) && std::ranges::none_of(more, known)) more.push_back(&taken);
    }
    const auto* own = raw.find("parameters");
    const auto narrowing = [&](const Parameter& parameter) {
      return parameter.in == In::query && parameter.schema && parameter.raw ? promises.narrowing(parameter.name)
                                                                            : nullptr;
    };
    const auto is_own = [&](const Parameter& parameter) {
      return own && std::ranges::any_of(own->array(), [&](auto& one) { return same(one, *parameter.raw); });
    };
    // Those of the path item that are narrowed for this operation alone are declared again.
    const auto inherited = [&](const Parameter& parameter) { return narrowing(parameter) && !is_own(parameter); };
    if (!own && more.empty() && std::ranges::none_of(operation.parameters, inherited)) return;
    auto& out = members.key("parameters");
    out += '[';
    bool first = true;
    for (const auto& parameter : own ? own->array() : std::span<const Value>{}) {
      if (!std::exchange(first, false)) out += ',';
      const auto known = std::ranges::find_if(
          operation.parameters, [&](auto& each) { return each.raw && same(parameter, *each.raw) && narrowing(each); });
      if (known == operation.parameters.end())
        write_object(out, parameter, Kind::parameter, {});
      else
        write_narrowed(out, *known, *narrowing(*known));
    }
    for (const auto& parameter : operation.parameters) {
      if (!inherited(parameter)) continue;
      if (!std::exchange(first, false)) out += ',';
      write_narrowed(out, parameter, *narrowing(parameter));
    }
    for (const auto* taken : more) {
      if (!std::exchange(first, false)) out += ',';
      write_parameter(out, *taken);
    }
    out += ']';
  }

  /// Whether both are one object of the document, perhaps by reference.
  bool same(const Value& a, const Value& b) const { return &contract_.resolve(a) == &contract_.resolve(b); }

  /// A declared parameter, with what its value has to satisfy as well.
  void write_narrowed(std::string& out, const Parameter& parameter, const std::string& schema) {
    Members fields{out};
    for (const auto& [name, value, at] : contract_.resolve(*parameter.raw).object())
      if (name == "schema") {
        auto& text = fields.key(name);
        text += R"({"allOf":[)";
        schemas_.write(text, value, {.direction = Direction::request});
        text += "," + schema + "]}";
      } else if (!hidden(name)) {
        write_field(fields.key(name), value, Kind::parameter, name, {});
      }
    fields.end();
  }

  void write_request(std::string& out, const Value& declared, const Promises& promises) {
    const auto& body = contract_.resolve(declared);
    const auto* content = body.find("content");
    const View view{.direction = Direction::request,
                    .replaced = promises.in_requests().schema ? &promises.in_requests() : nullptr};
    const bool fills =
        content && !promises.taken_body().empty() && std::ranges::any_of(content->object(), [&](const auto& media) {
          return says_nothing(contract_, media.value.find("schema"));
        });
    const auto* said = body.find("required");
    const bool needs = promises.body_needed() && !(said && said->is(Type::boolean) && said->boolean());
    // The component looks the same to all who refer to it.
    if (declared.find("$ref") && !fills && !view.replaced && !needs) {
      json::Writer{out}.value(declared);
      return;
    }
    if (!fills && !needs) return write_object(out, body, Kind::request_body, view);
    Members members{out};
    if (needs) members.key("required") += "true";
    for (const auto& [key, value, at] : body.object()) {
      if (hidden(key) || (needs && key == "required")) continue;
      if (key != "content" || !fills) {
        write_field(members.key(key), value, Kind::request_body, key, view);
        continue;
      }
      Members types{members.key(key)};
      for (const auto& media : value.object()) {
        Members fields{types.key(media.key)};
        for (const auto& [name, field, where] : media.value.object())
          if (name != "schema" && !hidden(name)) write_field(fields.key(name), field, Kind::media_type, name, view);
        const auto* schema = media.value.find("schema");
        if (says_nothing(contract_, schema))
          fields.key("schema") += restricted(seen(promises.taken_body(), Direction::request), schema);
        else
          schemas_.write(fields.key("schema"), *schema, view);
        fields.end();
      }
      types.end();
    }
    members.end();
  }

  /// The text of a schema that stands in the place of `declared`, with how many members or items that one allows.
  std::string restricted(std::string text, const Value* declared) {
    const auto* value = declared ? &contract_.resolve(*declared) : nullptr;
    if (!value || !value->is(Type::object)) return text;
    std::string limits;
    Members members{limits};
    bool any = false;
    for (const auto& [key, limit, at] : value->object())
      if (key == "minProperties" || key == "maxProperties" || key == "minItems" || key == "maxItems") {
        json::Writer{members.key(key)}.value(limit);
        any = true;
      }
    members.end();
    // Without a type of its own: code generators would take that for an object without members.
    return any ? R"({"allOf":[)" + text + "," + limits + "]}" : text;
  }

  /// The text of a schema that a part has given.
  std::string seen(const std::string& text, Direction direction) {
    Arena arena;
    std::string out;
    if (const auto parsed = json::parse(text, arena))
      schemas_.write(out, *parsed, {.direction = direction});
    else
      out = text;
    return out;
  }

  // --- its responses ---

  struct Refusal {
    std::vector<const Problem*> problems;
    bool retryable = false;
  };

  void write_responses(std::string& out, const Value* declared, const Promises& promises) {
    std::map<std::uint16_t, Refusal> refusals;
    for (const auto* problem : promises.problems()) {
      auto& one = refusals[problem->status];
      if (std::ranges::find(one.problems, problem->code, &Problem::code) == one.problems.end())
        one.problems.push_back(problem);
      one.retryable |= problem->retryable;
    }
    for (auto& [status, one] : refusals) std::ranges::sort(one.problems, {}, &Problem::code);
    Members members{out};
    std::vector<std::string> written;
    if (declared)
      for (const auto& [key, value, at] : declared->object()) {
        if (hidden(key)) continue;
        if (key.starts_with("x-")) {
          json::Writer{members.key(key)}.value(value);
          continue;
        }
        written.emplace_back(key);
        const auto status = number_of(key);
        const auto refusal = refusals.find(status);
        if (status == 0)
          write_object(members.key(key), value, Kind::response, {.direction = Direction::response});
        else
          write_declared(members.key(key), contract_.resolve(value), status,
                         refusal == refusals.end() ? nullptr : &refusal->second, promises);
      }
    for (const auto& answer : promises.answers()) {
      const auto status = std::to_string(answer.status);
      if (std::ranges::find(written, status) != written.end()) continue;
      written.push_back(status);
      Members response{members.key(status)};
      response.text("description", answer.description);
      write_headers(response, nullptr, answer.status, promises, false, false);
      if (sends_body(promises, answer.status)) {
        Members types{response.key("content")};
        write_sent(types, answer.status, promises);
        types.end();
      }
      response.end();
    }
    for (const auto& [status, refusal] : refusals) {
      const auto text = std::to_string(status);
      if (std::ranges::find(written, text) != written.end()) continue;
      // What the contract says of the class of statuses, or of all that it does not name, holds for this one as well.
      const Value* around = declared ? declared->find(text.substr(0, 1) + "XX") : nullptr;
      if (!around && declared) around = declared->find("default");
      members.key(text) += R"({"$ref":"#/components/responses/)" +
                           (around ? refused_around(contract_.resolve(*around), status, refusal, promises)
                                   : refused(status, refusal, promises)) +
                           "\"}";
    }
    members.end();
  }

  static bool sends_body(const Promises& promises, std::uint16_t status) {
    return std::ranges::find(promises.sent_bodies(), status, &Promises::Body::status) != promises.sent_bodies().end();
  }

  /// The bodies that the parts send with the status, in each of their media types.
  void write_sent(Members& types, std::uint16_t status, const Promises& promises) {
    for (const auto& body : promises.sent_bodies())
      if (body.status == status)
        types.key(body.media_type) += R"({"schema":)" + seen(body.schema, Direction::response) + "}";
  }

  static std::uint16_t number_of(std::string_view status) {
    std::uint16_t number = 0;
    for (const char c : status) {
      if (c < '0' || c > '9') return 0;
      number = static_cast<std::uint16_t>(number * 10 + (c - '0'));
    }
    return status.size() == 3 ? number : 0;
  }

  void write_declared(std::string& out, const Value& response, std::uint16_t status, const Refusal* refusal,
                      const Promises& promises) {
    const View view{.direction = Direction::response,
                    .replaced = promises.in_responses().schema ? &promises.in_responses() : nullptr};
    Members members{out};
    bool described = false;
    for (const auto& [key, value, at] : response.object()) {
      if (hidden(key) || key == "headers" || key == "content") continue;
      described |= key == "description";
      write_field(members.key(key), value, Kind::response, key, view);
    }
    if (!described) members.text("description", "");
    write_headers(members, response.find("headers"), status, promises, refusal != nullptr,
                  refusal && refusal->retryable);
    const auto* content = response.find("content");
    const bool fills = !content && sends_body(promises, status);
    if (content || refusal || fills) {
      Members types{members.key("content")};
      bool told = false;
      for (const auto& media : content ? content->object() : std::span<const json::Member>{}) {
        auto& text = types.key(media.key);
        if (refusal && media.key == kProblemType) {
          told = true;
          write_either(text, media.value, status, *refusal, view);
        } else {
          write_object(text, media.value, Kind::media_type, view);
        }
      }
      if (fills) write_sent(types, status, promises);
      if (refusal && !told) types.key(kProblemType) += R"({"schema":)" + problem_schema(status, *refusal) + "}";
      types.end();
    }
    members.end();
  }

  /// The contract has problems of its own for the status: those, or the server's.
  void write_either(std::string& out, const Value& media, std::uint16_t status, const Refusal& refusal,
                    const View& view) {
    Members fields{out};
    const auto* schema = media.find("schema");
    for (const auto& [name, field, at] : media.object())
      if (name != "schema" && !hidden(name)) write_field(fields.key(name), field, Kind::media_type, name, view);
    auto& text = fields.key("schema");
    if (!schema) {
      text += problem_schema(status, refusal);
    } else {
      text += R"({"anyOf":[)";
      schemas_.write(text, *schema, view);
      text += "," + problem_schema(status, refusal) + "]}";
    }
    fields.end();
  }

  void write_headers(Members& members, const Value* declared, std::uint16_t status, const Promises& promises,
                     bool refusal, bool retryable) {
    std::vector<const HeaderField*> more;
    const auto add = [&](const HeaderField& field) {
      const auto same = [&](const HeaderField* each) { return same_word(each->name, field.name); };
      const auto said = [&](const json::Member& own) { return same_word(own.key, field.name); };
      if (declared && std::ranges::any_of(declared->object(), said)) return;
      if (std::ranges::none_of(more, same)) more.push_back(&field);
    };
    for (const auto& sent : promises.sent_headers())
      if (sent.of.has(status)) add(sent.field);
    if (refusal) add(kCacheControl);
    if (retryable) add(kRetryAfter);
    if (!declared && more.empty()) return;
    Members headers{members.key("headers")};
    for (const auto& own : declared ? declared->object() : std::span<const json::Member>{})
      write_object(headers.key(own.key), own.value, Kind::header, {.direction = Direction::response});
    for (const auto* field : more)
      headers.key(field->name) += R"({"$ref":"#/components/headers/)" + header(*field) + "\"}";
    headers.end();
  }

  // --- problems ---

  std::string problem_schema(std::uint16_t status, const Refusal& refusal) {
    if (problem_.empty()) problem_ = schemas_.add("Problem", std::string(kProblem), Direction::none);
    std::string out =
        R"({"allOf":[{"$ref":"#/components/schemas/)" + problem_ +
        R"("},{"type":"object","required":["status","code"],"properties":{"status":{"type":"integer","enum":[)" +
        std::to_string(status) + R"(]},"code":{"type":"string","enum":[)";
    for (const auto* problem : refusal.problems) {
      if (problem != refusal.problems.front()) out += ',';
      json::append_string(out, problem->code);
    }
    return out + "]}}}]}";
  }

  /// The component of a response with these problems.
  std::string refused(std::uint16_t status, const Refusal& refusal, const Promises& promises) {
    std::string text;
    Members members{text};
    std::string titles;
    for (const auto* problem : refusal.problems) {
      if (!titles.empty()) titles += "; ";
      titles += std::string(problem->title) + " (`" + std::string(problem->code) + "`)";
    }
    members.text("description", titles);
    write_headers(members, nullptr, status, promises, true, refusal.retryable);
    members.key("content") +=
        "{\"" + std::string(kProblemType) + R"(":{"schema":)" + problem_schema(status, refusal) + "}}";
    members.end();
    return responses_.name(*contract_.root, "responses", "Problem" + std::to_string(status), std::move(text));
  }

  /// The same beside what the contract declares for the status.
  std::string refused_around(const Value& declared, std::uint16_t status, const Refusal& refusal,
                             const Promises& promises) {
    std::string text;
    write_declared(text, declared, status, &refusal, promises);
    return responses_.name(*contract_.root, "responses", "Problem" + std::to_string(status), std::move(text));
  }

  // --- components ---

  /// Components of one kind that are added to those of the document, each text once.
  struct Added {
    std::map<std::string, std::string> by_text;                ///< the name of each text
    std::vector<std::pair<std::string, std::string>> entries;  ///< name and text, as they came

    std::string name(const Value& root, std::string_view section, const std::string& wanted, std::string text) {
      const auto known = by_text.find(text);
      if (known != by_text.end()) return known->second;
      const auto* own = root.at("components", section);
      auto name = wanted;
      const auto taken = [&] {
        return (own && own->find(name)) ||
               std::ranges::find(entries, name, &std::pair<std::string, std::string>::first) != entries.end();
      };
      for (int number = 2; taken(); ++number) name = wanted + "_" + std::to_string(number);
      by_text.emplace(text, name);
      entries.emplace_back(name, std::move(text));
      return name;
    }
  };

  std::string header(const HeaderField& field) {
    std::string text;
    Members members{text};
    members.text("description", field.sentence);
    members.key("schema") += field.schema;
    members.end();
    return headers_.name(*contract_.root, "headers", std::string(field.name), std::move(text));
  }

  /// Not by reference: who looks for the names of parameters finds them where they are used.
  static void write_parameter(std::string& out, const Promises::Taken& taken) {
    Members members{out};
    members.text("name", taken.field.name);
    members.text("in", "header");
    members.text("description", taken.field.sentence);
    if (taken.required) members.key("required") += "true";
    members.key("schema") += taken.field.schema;
    members.end();
  }

  void write_components(std::string& out) {
    const auto* declared = contract_.root->find("components");
    Members members{out};
    // Schemas are the last: what is written before refers to them.
    const std::pair<std::string_view, const Added*> ours[] = {{"responses", &responses_}, {"headers", &headers_}};
    const auto added_to = [&](std::string_view section) -> const Added* {
      for (const auto& [name, added] : ours)
        if (name == section) return added;
      return nullptr;
    };
    for (const auto& [key, value, at] : declared ? declared->object() : std::span<const json::Member>{}) {
      if (hidden(key) || key == "schemas" || added_to(key)) continue;
      const bool requests = key == "requestBodies";
      write_field(members.key(key), value, Kind::components, key,
                  {.direction = requests ? Direction::request : Direction::none});
    }
    for (const auto& [section, added] : ours) {
      const auto* own = declared ? declared->find(section) : nullptr;
      if (!own && added->entries.empty()) continue;
      const auto kind = section == "responses" ? Kind::response : Kind::header;
      const View view{.direction = Direction::response};
      Members entries{members.key(section)};
      for (const auto& entry : own ? own->object() : std::span<const json::Member>{})
        if (!hidden(entry.key)) write_object(entries.key(entry.key), entry.value, kind, view);
      for (const auto& [name, text] : added->entries) entries.key(name) += text;
      entries.end();
    }
    schemas_.write_components(members.key("schemas"));
    members.end();
  }

  const Contract& contract_;
  FunctionRef<void(const Operation&, Promises&)> describe_;
  const bool extensions_;
  SchemaView schemas_;
  std::unordered_map<const Value*, const Operation*> operations_;
  std::string problem_;  ///< the name of its component; empty: not needed yet
  Added responses_, headers_;
};

}  // namespace

std::string effective_document(const Contract& contract,
                               FunctionRef<void(const Operation& operation, Promises& promises)> describe,
                               bool extensions) {
  return Document{contract, describe, extensions}.write();
}

}  // namespace plimsoll::contract
