#include "plimsoll/contract/parameters.hpp"

#include "plimsoll/contract/body.hpp"
#include "plimsoll/json/pointer.hpp"

#include <algorithm>

namespace plimsoll::contract {
namespace {

using json::Value;

ValueReader reader_of(const Contract& contract, const Parameter& p) {
  const Value* schema = p.schema;
  ValueReader::How how{.name = p.name,
                       .style = p.style == Style::cookie ? Style::form : p.style,
                       .explode = p.explode,
                       .plus = p.in == In::query && !p.allow_reserved,
                       .allow_empty = p.allow_empty && p.in == In::query,
                       .encoded = p.in != In::header && p.style != Style::cookie};
  if (!p.content_type.empty()) {
    how.text = p.content_type.starts_with("text/");
    how.json = !how.text;
  }
  return {std::move(how), schema ? shape_of(contract, *schema) : ValueShape{}};
}

void complain(std::vector<FieldError>& errors, In in, const std::string& name, std::string below,
              std::string_view keyword, std::string message) {
  if (errors.size() >= kMostErrors) return;
  std::string pointer;
  json::append_token(pointer, name);
  errors.push_back({std::string(to_string(in)), pointer + below, std::string(keyword), std::move(message)});
}

}  // namespace

std::string_view to_string(In in) {
  constexpr std::string_view names[] = {"path", "query", "header", "cookie", "query"};
  return names[static_cast<std::size_t>(in)];
}

FieldError field_error(std::string_view in, std::string_view prefix, const schema::Failure& failure) {
  FieldError made{std::string(in), std::string(prefix) + failure.instance, failure.keyword, failure.message};
  if (failure.missing.empty()) return made;
  json::append_token(made.pointer, failure.missing);
  if (failure.keyword == "required") made.message = "is required";
  return made;
}

void append_failures(std::vector<FieldError>& errors, std::string_view in, const std::string& prefix,
                     const schema::Validator& validator, const Value& value, Steps& steps) {
  if (errors.size() >= kMostErrors) return;
  for (auto& failure : validator.failures(value, steps, kMostErrors - errors.size())) {
    if (errors.size() >= kMostErrors) return;
    if (failure.keyword == schema::kTooComplex.code) continue;  // a refusal of its own
    errors.push_back(field_error(in, prefix, failure));
  }
}

/// A query that is one form, read as the body of that type is.
class Parameters::QueryForm {
 public:
  QueryForm(const Contract& contract, const Parameter& parameter)
      : media_{.name = parameter.content_type, .raw = &parameter.raw->find("content")->object()[0].value},
        reader_(contract, with_schema(media_)) {}

  ValueReader::Found read(std::string_view query, Arena& arena, Steps& steps) const {
    if (query.empty()) return {};
    std::vector<FieldError> errors;
    const auto value = reader_.read(query, BodyKind::form, media_.name, arena, steps, errors);
    if (!value) return {.wrong = "is no percent-encoded form"};
    if (!errors.empty()) return {.wrong = arena.keep(errors[0].message), .pointer = errors[0].pointer};
    return {.value = *value};
  }

 private:
  static const MediaType& with_schema(MediaType& media) {
    media.schema = media.raw->find("schema");
    return media;
  }
  MediaType media_;  // without validator: the parameter has it
  BodyReader reader_;
};

Parameters::Parameters(const Contract& contract, const Operation& operation, Rules rules)
    : operation_(operation), rules_(std::move(rules)) {
  const auto names = contract.path_parameters(operation);
  readers_.reserve(operation.parameters.size());
  in_path_.reserve(operation.parameters.size());
  for (auto& p : operation.parameters) {
    readers_.push_back(reader_of(contract, p));
    in_path_.push_back(static_cast<std::uint32_t>(std::ranges::find(names, p.name) - names.begin()));
    any_query_ |= p.in == In::query;
    any_cookie_ |= p.in == In::cookie;
    if (p.in != In::querystring) continue;
    rules_.refuse_unknown_query = false;  // there are no others
    if (p.content_type == "application/x-www-form-urlencoded") query_form_ = std::make_shared<QueryForm>(contract, p);
  }
  for (auto& name : rules_.also_in_query)
    if (std::ranges::none_of(operation.parameters, [&](auto& p) { return p.in == In::query && p.name == name; }))
      credentials_.push_back(name);
}

namespace {

/// Lists that tables take (`sort`, `embed`, filters by several values) are parted by commas, which forms of browsers
/// and URLSearchParams write as `%2C`. One that stands in a value is told from those by a comma as such beside it.
void separate_commas(const Operation& operation, std::span<RawPair> query, Arena& arena) {
  for (auto& pair : query) {
    if (pair.value.contains(',') || !(pair.value.contains("%2C") || pair.value.contains("%2c"))) continue;
    for (const auto& p : operation.parameters) {
      if (p.in != In::query || p.name != pair.name || p.style != Style::form || p.explode || !p.schema) continue;
      const auto* type = p.schema->find("type");
      if (!type || !type->is(json::Type::string) || type->string() != "array") continue;
      std::string value;
      for (std::size_t i = 0; i < pair.value.size(); ++i) {
        const auto rest = pair.value.substr(i, 3);
        const bool comma = rest == "%2C" || rest == "%2c";
        value += comma ? ',' : pair.value[i];
        if (comma) i += 2;
      }
      pair.value = arena.keep(value);
    }
  }
}

}  // namespace

std::span<const Value* const> Parameters::read(std::span<const std::string_view> path, const Request& request,
                                               Arena& arena, Steps& steps, std::vector<FieldError>& errors) const {
  std::span<RawPair> query, cookies;
  if (!request.query.empty() && (any_query_ || rules_.refuse_unknown_query)) query = split_pairs(request.query, arena);
  if (any_cookie_) cookies = split_pairs(request.headers.joined("cookie"), arena, ";");
  decode_names(query, arena);
  decode_names(cookies, arena);
  if (!query.empty() && request.query.contains('%') && operation_.extension("table")) [[unlikely]]
    separate_commas(operation_, query, arena);
  if (!credentials_.empty())
    for (auto& pair : query)  // a credential belongs to no object that takes whatever it is given
      if (std::ranges::find(credentials_, pair.name) != credentials_.end()) pair.used = true;
  auto* values = arena.array<const Value*>(readers_.size());
  const auto find = [&](std::size_t i) -> ValueReader::Found {
    const auto& reader = readers_[i];
    switch (operation_.parameters[i].in) {
      case In::path:
        return in_path_[i] < path.size() ? reader.from_path(path[in_path_[i]], arena) : ValueReader::Found{};
      case In::query: return reader.from_pairs(query, arena);
      case In::header: return reader.from_header(request.headers, arena);
      case In::cookie: return reader.from_pairs(cookies, arena);
      case In::querystring:
        if (query_form_) return query_form_->read(request.query, arena, steps);
        if (!request.query.empty()) return reader.from_query(request.query, arena);
        break;
    }
    return {};
  };
  // Named parameters first: a spread object takes what they leave.
  bool any_left = true;
  for (const bool spreading : {false, true}) {
    if (!std::exchange(any_left, false)) break;
    for (std::size_t i = 0; i < readers_.size(); ++i) {
      const auto& p = operation_.parameters[i];
      const auto& reader = readers_[i];
      if ((p.in == In::query && reader.spreads()) != spreading) {
        any_left = true;
        continue;
      }
      values[i] = nullptr;
      if (steps.exhausted()) continue;
      auto found = find(i);
      if (!found.wrong.empty()) {
        complain(errors, p.in, p.name, found.pointer, "type", std::string(found.wrong));
        continue;
      }
      if (!found.value) {
        values[i] = p.default_value;
        if (p.required) complain(errors, p.in, p.name, {}, "required", "is required");
        continue;
      }
      if (!rules_.sanitizers.empty() && !rules_.sanitizers[i].idle()) [[unlikely]] {
        found.value = &arena.make<Value>(rules_.sanitizers[i].apply(*found.value, arena));
        if (found.plain.data() && found.value->is(json::Type::string)) found.plain = found.value->string();
      }
      values[i] = found.value;
      if (found.empty || !p.validator || p.validator->valid(*found.value, steps)) continue;
      if (found.plain.data()) {  // text by choice: another reading may be what the schema wants
        const auto others =
            reader.shape().may(ValueShape::text) ? alternatives(found.plain, reader.shape()) : std::vector<Value>{};
        const auto fits = std::ranges::find_if(others, [&](auto& other) { return p.validator->valid(other, steps); });
        if (fits != others.end()) {
          values[i] = &arena.make<Value>(*fits);
          continue;
        }
      }
      std::string prefix;
      json::append_token(prefix, p.name);
      append_failures(errors, to_string(p.in), prefix, *p.validator, *found.value, steps);
    }
  }
  if (rules_.refuse_unknown_query) unknown(query, errors);
  return {values, readers_.size()};
}

void Parameters::unknown(std::span<RawPair> query, std::vector<FieldError>& errors) const {
  std::vector<std::string_view> known;
  for (auto& pair : query) {
    if (pair.used) continue;
    if (errors.size() >= kMostErrors) return;
    const auto name = std::string(pair.name);
    if (std::ranges::find(rules_.also_in_query, name) != rules_.also_in_query.end()) continue;
    if (known.empty())
      for (auto& p : operation_.parameters)
        if (p.in == In::query) known.push_back(p.name);
    // `status[eq]` and `status[in]` are written `status=open,paid`.
    const auto bare = std::string_view(name).substr(0, name.find('['));
    const bool plain =
        (name.ends_with("[eq]") || name.ends_with("[in]")) && std::ranges::find(known, bare) != known.end();
    constexpr std::size_t kLongest = 64;  // that somebody may have meant otherwise
    const auto near = plain ? bare : name.size() > kLongest ? std::string_view{} : config::nearest(name, known);
    complain(errors, In::query, name, {}, "unknown",
             "this operation has no such parameter" +
                 (near.empty() ? std::string{} : "; did you mean \"" + std::string(near) + "\"?"));
  }
}

}  // namespace plimsoll::contract
