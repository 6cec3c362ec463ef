#include "plimsoll/handler/job/sql_names.hpp"

#include "plimsoll/handler/job/declaration.hpp"

#include <algorithm>
#include <set>

namespace plimsoll::handler::job {
namespace {

using json::Type;
using json::Value;

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// Behind the quoted text that begins at `at`; npos when it does not end.
std::size_t quoted_end(std::string_view text, std::size_t at) {
  const char quote = text[at] == '[' ? ']' : text[at];
  for (auto end = text.find(quote, at + 1); end != text.npos; end = text.find(quote, end + 2))
    if (quote == ']' || end + 1 >= text.size() || text[end + 1] != quote) return end + 1;
  return text.npos;
}

/// Behind what `text` has at `at`: a quoted text or name, or a comment; `at` itself when it is none of these.
std::size_t skipped(std::string_view text, std::size_t at) {
  const auto rest = text.substr(at);
  if (rest.starts_with("--")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) {
    const auto end = text.find("*/", at + 2);
    return end == text.npos ? text.size() : end + 2;
  }
  if (std::string_view("'\"`[").find(text[at]) == std::string_view::npos) return at;
  return std::min(quoted_end(text, at), text.size());
}

std::string written(std::span<const std::string> segments) {
  std::string text;
  for (auto& segment : segments) {
    if (!text.empty()) text += '.';
    if (!segment.empty() && std::ranges::all_of(segment, is_name))
      text += segment;
    else
      text += '"' + segment + '"';
  }
  return text;
}

/// The segments of a name that begins at `at`, which is moved behind them: `body.customer."e-mail"`.
std::vector<std::string> read_name(std::string_view text, std::size_t& at) {
  std::vector<std::string> segments;
  while (true) {
    const auto begin = at;
    if (at < text.size() && text[at] == '"' && !segments.empty()) {
      const auto end = quoted_end(text, at);
      if (end == text.npos) return segments;
      std::string segment;
      for (auto i = at + 1; i + 1 < end; ++i) {
        segment += text[i];
        if (text[i] == '"') ++i;  // doubled
      }
      segments.push_back(std::move(segment));
      at = end;
    } else {
      while (at < text.size() && is_name(text[at])) ++at;
      segments.emplace_back(text.substr(begin, at - begin));
    }
    if (at + 1 >= text.size() || text[at] != '.' || !(is_name(text[at + 1]) || text[at + 1] == '"')) return segments;
    ++at;
  }
}

/// What one step into a schema finds: the schemas of a member, through references and combinations.
struct Step {
  std::vector<const Value*> members;
  bool declared = false;  ///< under `properties`
  bool open = false;      ///< the schema allows members by rule: `additionalProperties`, `patternProperties`
  bool named = false;     ///< the schema has any `properties`
};

void step(const contract::Contract& contract, const Value& schema, std::string_view name, Step& found,
          std::set<const Value*>& seen) {
  if (!schema.is(Type::object) || !seen.insert(&schema).second) return;
  if (schema.find("$ref")) step(contract, contract.resolve(schema), name, found, seen);
  if (const auto* properties = schema.find("properties"); properties && properties->is(Type::object)) {
    found.named = found.named || !properties->object().empty();
    if (const auto* member = properties->find(name)) {
      found.declared = true;
      found.members.push_back(member);
    }
  }
  if (const auto* more = schema.find("additionalProperties"))
    found.open = found.open || !more->is(Type::boolean) || more->boolean();
  found.open = found.open || schema.find("patternProperties");
  for (auto* keyword : {"allOf", "anyOf", "oneOf"})
    if (const auto* parts = schema.find(keyword); parts && parts->is(Type::array))
      for (auto& part : parts->array()) step(contract, part, name, found, seen);
  for (auto* keyword : {"if", "then", "else"})
    if (const auto* part = schema.find(keyword)) step(contract, *part, name, found, seen);
}

std::string text_of(Source source) {
  switch (source) {
    case Source::body: return "body";
    case Source::parameter: return "parameter";
    case Source::response: return "response";
    case Source::run: return "run";
    default: return "caller";
  }
}

constexpr std::string_view kRunNames[] = {"job_id", "kind", "attempt"};

}  // namespace

Result<NamedStatement> named_statement(std::string_view text) {
  NamedStatement made;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    const bool names = at + 1 < text.size() && is_name(text[at + 1]);
    if (const auto behind = skipped(text, at); behind != at) {
      made.sql += text.substr(at, behind - at);
      at = behind;
    } else if (is_name(c)) {  // a word, which may hold `$`
      const auto begin = at;
      while (at < text.size() && (is_name(text[at]) || text[at] == '$')) ++at;
      made.sql += text.substr(begin, at - begin);
    } else if (c == '?' || ((c == '@' || c == '$') && names)) {
      return fail(kUnknownName, std::string("`") + c + "` marks a parameter without a source");
    } else if (text.substr(at).starts_with("::")) {  // a cast
      made.sql += "::";
      at += 2;
    } else if (c == ':' && names) {
      made.names.push_back(read_name(text, ++at));
      made.sql += '?';
    } else {
      made.sql += text[at++];
    }
  }
  return made;
}

RequestSources::RequestSources(std::span<const contract::Contract* const> contracts, std::string_view kind)
    : kind_(kind) {
  for (const auto* contract : contracts)
    for (auto& operation : contract->operations) {
      bool starts = false;
      if (const auto* options = operation.extension("job"))
        if (const auto read = job::read(*options, operation.method))
          starts = read->kind == kind && read->action == Action::start;
      if (const auto* options = operation.extension("after"); options && options->is(Type::object))
        if (const auto* named = options->find("job"); named && named->is(Type::string) && named->string() == kind) {
          starts = true;
          add_response(*contract, operation);
        }
      if (!starts) continue;
      operations_.push_back(&operation);
      add_body(*contract, operation);
    }
}

void RequestSources::add_body(const contract::Contract& contract, const contract::Operation& operation) {
  if (!operation.body) return;
  for (auto& type : operation.body->content) {
    if (type.schema)
      bodies_.push_back({&contract, type.schema});
    else
      any_body_ = true;
  }
}

void RequestSources::add_response(const contract::Contract& contract, const contract::Operation& operation) {
  for (auto& response : operation.responses) {
    if (!response.status.starts_with('2') && response.status != "default") continue;
    for (auto& type : response.content) {
      if (type.schema)
        responses_.push_back({&contract, type.schema});
      else
        any_response_ = true;
    }
  }
}

RequestSources::Presence RequestSources::in_schemas(const std::vector<Schema>& schemas,
                                                    std::span<const std::string> path) const {
  auto best = Presence::absent;
  for (const auto& schema : schemas) {
    if (path.empty()) return Presence::declared;
    Step found;
    std::set<const Value*> seen;
    step(*schema.contract, *schema.value, path.front(), found, seen);
    auto here = Presence::absent;
    if (found.declared) {
      std::vector<Schema> members;
      for (const auto* member : found.members) members.push_back({schema.contract, member});
      here = path.size() == 1 ? Presence::declared : in_schemas(members, path.subspan(1));
    } else if (found.open || !found.named) {
      here = Presence::possible;
    }
    best = std::max(best, here);
  }
  return best;
}

/// The request sources that declare a value of that name.
std::vector<Source> RequestSources::declaring(const std::string& name) const {
  std::vector<Source> sources;
  const std::span path{&name, 1};
  if (in_schemas(bodies_, path) == Presence::declared) sources.push_back(Source::body);
  if (std::ranges::any_of(operations_, [&](auto* operation) {
        return std::ranges::any_of(operation->parameters, [&](auto& each) { return each.name == name; });
      }))
    sources.push_back(Source::parameter);
  if (in_schemas(responses_, path) == Presence::declared) sources.push_back(Source::response);
  return sources;
}

Result<ValueName> RequestSources::resolve(const std::vector<std::string>& name) const {
  const auto text = "`:" + written(name) + "`";
  const std::vector rest(name.begin() + 1, name.end());
  const auto unknown = [&](const std::string& why) { return fail(kUnknownName, text + ": " + why); };

  if (rest.empty()) {
    const auto sources = declaring(name[0]);
    if (sources.size() > 1) {
      std::string all;
      for (auto source : sources) all += (all.empty() ? "`:" : " and `:") + text_of(source) + "." + name[0] + "`";
      return fail(kAmbiguousName, text + " can be " + all);
    }
    if (sources.empty())
      return unknown("no operation that starts `" + kind_ +
                     "` declares a parameter, a body member or a response "
                     "member of this name");
    const std::vector path{name[0]};
    if (sources[0] != Source::parameter) return ValueName{sources[0], path};
    return resolve({"parameter", name[0]});
  }

  if (name[0] == "caller") {
    if (rest[0] == "subject" && rest.size() == 1) return ValueName{Source::subject, {}};
    if (rest[0] == "tenant" && rest.size() == 1) return ValueName{Source::tenant, {}};
    if (rest[0] == "claims" && rest.size() > 1) return ValueName{Source::claims, {rest.begin() + 1, rest.end()}};
    return unknown("the values of the caller are `subject`, `tenant` and `claims.NAME`");
  }
  if (name[0] == "run") {
    if (rest.size() == 1 && std::ranges::find(kRunNames, rest[0]) != std::end(kRunNames))
      return ValueName{Source::run, rest};
    return unknown("the values of the run are `job_id`, `kind` and `attempt`");
  }
  // A job that only the program enqueues gets a payload of the program's own.
  const bool declares = !operations_.empty();
  if (name[0] == "body") {
    if (declares && !any_body_ && in_schemas(bodies_, rest) == Presence::absent)
      return unknown("no operation that starts `" + kind_ + "` has this member in its request body");
    return ValueName{Source::body, rest};
  }
  if (name[0] == "response") {
    if (declares && !any_response_ && in_schemas(responses_, rest) == Presence::absent)
      return unknown("no operation with `after: {job: " + kind_ + "}` declares this member in a 2xx response");
    return ValueName{Source::response, rest};
  }
  if (name[0] == "parameter") {
    bool known = !declares;
    for (const auto* operation : operations_) {
      const auto many = std::ranges::count_if(operation->parameters, [&](auto& each) { return each.name == rest[0]; });
      if (many > 1)
        return fail(kAmbiguousName, text + ": " + operation->id + " has " + std::to_string(many) +
                                        " parameters of this name; rename one in the contract");
      known = known || many == 1;
    }
    if (!known) return unknown("no operation that starts `" + kind_ + "` declares this parameter");
    return ValueName{Source::parameter, rest};
  }
  return unknown("`" + name[0] + "` is no source of values");
}

}  // namespace plimsoll::handler::job
