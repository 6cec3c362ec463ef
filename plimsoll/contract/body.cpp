#include "plimsoll/contract/body.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/http/multipart.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/object_builder.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <map>

namespace plimsoll::contract {
namespace {

using http::essence;
using json::Type;
using json::Value;

constexpr std::size_t kMostParts = 1000;
constexpr std::size_t kPiece = 4096;  // of a body that is fed to the parser: what it moves stays small

/// Only an object will do: written in a form, it is a JSON text.
bool is_object(const ValueShape* shape) {
  return shape && shape->may(ValueShape::object) && !shape->may(ValueShape::text) && !shape->may(ValueShape::array);
}
bool is_list(const ValueShape* shape) {
  return shape && shape->may(ValueShape::array) && !shape->may(ValueShape::text);
}

std::optional<Style> form_style(std::string_view name) {
  if (name == "form") return Style::form;
  if (name == "spaceDelimited") return Style::space_delimited;
  if (name == "pipeDelimited") return Style::pipe_delimited;
  if (name == "deepObject") return Style::deep_object;
  return std::nullopt;
}

}  // namespace

BodyKind body_kind(std::string_view type) {
  if (type == "application/json" || type.ends_with("+json")) return BodyKind::json;
  if (type == "application/x-ndjson" || type == "application/ndjson" || type == "application/jsonl" ||
      type == "application/json-lines")
    return BodyKind::json_lines;
  if (type == "application/x-www-form-urlencoded") return BodyKind::form;
  if (type.starts_with("multipart/")) return BodyKind::multipart;
  if (type.starts_with("text/")) return BodyKind::text;
  return BodyKind::binary;
}

std::string refusal_of_type(std::string_view type, std::string_view content_type) {
  if (http::repeats_parameter(content_type))
    return "the Content-Type says a parameter more than once, or more than eight";
  const auto kind = body_kind(type);
  if (kind == BodyKind::binary || kind == BodyKind::multipart) return {};
  const auto charset = lowered(http::media_type_parameter(content_type, "charset").value_or("utf-8"));
  if (charset == "utf-8" || charset == "us-ascii") return {};
  return "the character set \"" + charset + "\" is not accepted; send UTF-8";
}

BodyReader::BodyReader(const Contract& contract, const MediaType& media, Sanitizer sanitizer)
    : media_(media), sanitizer_(std::move(sanitizer)) {
  // What is JSON is read without its shape, which may be large.
  if (!media.schema || body_kind(essence(media.name)) == BodyKind::json) return;
  shape_ = shape_of(contract, *media.schema);
  const auto* encodings = media.raw ? media.raw->find("encoding") : nullptr;
  for (auto& [name, shape] : shape_.properties) {
    const auto* encoding = encodings ? encodings->find(name) : nullptr;
    const auto* style = encoding ? encoding->find("style") : nullptr;
    const auto* explode = encoding ? encoding->find("explode") : nullptr;
    const auto* types = encoding ? encoding->find("contentType") : nullptr;
    ValueReader::How how{.name = name};
    bool said = explode != nullptr;
    if (style && style->is(Type::string))
      if (const auto known = form_style(style->string())) how.style = *known, said = true;
    how.explode = explode && explode->is(Type::boolean) ? explode->boolean()
                                                        : how.style == Style::form || how.style == Style::deep_object;
    Property made{.reader = {{}, {}}};
    if (types && types->is(Type::string)) made.content_types = types->string();
    // Unless a style says otherwise, an object is one JSON text, and of a list each item that is one (OpenAPI 3.1.1,
    // section 4.8.15.1.1).
    const bool unsaid = !said && made.content_types.empty();
    made.json = body_kind(essence(made.content_types)) == BodyKind::json || (unsaid && is_object(shape.get()));
    made.json_items = unsaid && is_list(shape.get()) && is_object(shape->items.get());
    how.json = made.json;
    how.json_items = made.json_items;
    made.reader = ValueReader{std::move(how), *shape};
    properties_.push_back(std::move(made));
  }
}

const BodyReader::Property* BodyReader::property(std::string_view name) const {
  const auto found = std::ranges::find_if(properties_, [&](auto& p) { return p.reader.name() == name; });
  return found == properties_.end() ? nullptr : &*found;
}

Result<const Value*> BodyReader::read(std::string_view bytes, BodyKind kind, std::string_view content_type,
                                      Arena& arena, Steps& steps, std::vector<FieldError>& errors) const {
  Result<Value> value = Value{};
  switch (kind) {
    case BodyKind::json: value = json::parse(bytes, arena); break;
    case BodyKind::json_lines: value = lines(bytes, arena); break;
    case BodyKind::form: value = form(bytes, arena, errors); break;
    case BodyKind::multipart: value = multipart(bytes, content_type, arena, errors); break;
    case BodyKind::text:
      if (!json::valid_utf8(bytes)) return fail(kMalformedBody, "the text is not UTF-8");
      if (auto read = coerce(bytes, &shape_); read)
        value = *read;
      else
        errors.push_back({"body", "", "type", std::string(read.error())});
      break;
    case BodyKind::binary: return nullptr;
  }
  if (!value) return std::unexpected(std::move(value).error());
  const bool of_lines = kind == BodyKind::json_lines && !shape_.may(ValueShape::array);  // the schema is of one line
  if (!sanitizer_.idle() && kind != BodyKind::multipart) [[unlikely]]
    value = of_lines ? sanitizer_.apply_to_items(*value, arena) : sanitizer_.apply(*value, arena);
  const Value* made = &arena.make<Value>(*value);
  if (!media_.validator || !errors.empty()) return made;
  if (of_lines) {
    for (std::size_t i = 0; i < made->array().size() && errors.size() < kMostErrors && !steps.exhausted(); ++i)
      judge(made->array()[i], "/" + std::to_string(i), steps, errors);
  } else {
    judge(*made, "", steps, errors);
  }
  if (steps.exhausted() && errors.empty()) return fail(schema::kTooComplex, "the body takes too many steps to check");
  return made;
}

void BodyReader::judge(const Value& value, const std::string& pointer, Steps& steps,
                       std::vector<FieldError>& errors) const {
  if (media_.validator->valid(value, steps) || steps.exhausted()) return;
  append_failures(errors, "body", pointer, *media_.validator, value, steps);
}

Result<Value> BodyReader::lines(std::string_view bytes, Arena& arena) const {
  std::vector<Value> items;
  for (std::size_t line = 1; !bytes.empty(); ++line) {
    const auto end = std::min(bytes.find('\n'), bytes.size());
    const auto text = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    auto item = json::parse(text, arena);
    if (!item) {
      auto error = std::move(item).error();
      error.detail = "line " + std::to_string(line) + " of the body: " + error.detail;
      return std::unexpected(std::move(error));
    }
    items.push_back(*item);
  }
  auto* kept = arena.array<Value>(items.size());
  std::ranges::copy(items, kept);
  return Value::array({kept, items.size()});
}

Result<Value> BodyReader::form(std::string_view bytes, Arena& arena, std::vector<FieldError>& errors) const {
  const auto pairs = split_pairs(bytes, arena);
  decode_names(pairs, arena);
  json::ObjectBuilder object;
  for (auto& property : properties_) {
    auto found = property.reader.from_pairs(pairs, arena);
    if (!found.wrong.empty())
      errors.push_back({"body", "/" + property.reader.name() + found.pointer, "type", std::string(found.wrong)});
    else if (found.value)
      object.add(property.reader.name(), *found.value);
  }
  object.reserve(object.size() + static_cast<std::size_t>(std::ranges::count(pairs, false, &RawPair::used)));
  for (auto& pair : pairs) {
    if (pair.used) continue;
    const auto value = decode(pair.value, arena, true);
    if (pair.malformed || !value) return fail(kMalformedBody, "the form is not percent-encoded UTF-8");
    auto read = coerce(*value, shape_.additional.get());
    const bool twice = read && !object.add(pair.name, *read).added;
    if (read && !twice) continue;
    if (errors.size() >= kMostErrors) break;
    std::string pointer;
    json::append_told_token(pointer, pair.name);
    errors.push_back(
        {"body", std::move(pointer), twice ? "unique" : "type", twice ? "is given twice" : std::string(read.error())});
  }
  return object.finish(arena);
}

/// Takes what the parser tells into the arena.
class BodyReader::Parts final : public http::MultipartParts {
 public:
  explicit Parts(Arena& arena) : arena_(arena) {}
  std::vector<Part> parts;

  Result<> begin(http::PartHead head) override {
    if (!json::valid_utf8(head.name)) return fail(kMalformedBody, "the name of a part is not UTF-8");
    parts.push_back({arena_.keep(head.name), arena_.keep(head.content_type), {}, head.has_filename});
    content_.clear();
    return {};
  }
  Result<> data(std::string_view piece) override {
    content_ += piece;
    return {};
  }
  Result<> end() override {
    parts.back().body = arena_.keep(content_);
    return {};
  }

 private:
  Arena& arena_;
  std::string content_;
};

/// Is that type among those of `encoding`? A part that says nothing is text (RFC 7578, section 4.4), which JSON is too.
bool BodyReader::Property::takes(std::string_view type) const {
  if (type.empty() && json) return true;
  if (type.empty()) type = "text/plain";
  for (std::string_view rest = content_types; !rest.empty();) {
    const auto written = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(written.size() + 1, rest.size()));
    const auto one = essence(written);
    if (one == type || one == "*/*" || (one.ends_with("/*") && type.starts_with(one.substr(0, one.size() - 1))))
      return true;
  }
  return content_types.empty();
}

Value BodyReader::part_value(const Part& part, const Property* property, Arena& arena,
                             std::vector<FieldError>& errors) const {
  const auto wrong = [&](std::string_view keyword, std::string what) {
    errors.push_back({"body", "/" + std::string(part.name), std::string(keyword), std::move(what)});
    return Value{};
  };
  const auto type = essence(part.content_type);
  if (property && !property->takes(type)) return wrong("contentType", "must be of the type " + property->content_types);
  if (auto refusal = refusal_of_type(type, part.content_type); !refusal.empty())
    return wrong("contentType", std::move(refusal));
  const bool item = property && is_list(&property->reader.shape());
  const bool said_json = property && (property->json || property->json_items);
  // The bytes of a file whose property can be nothing but text are that text, whatever they are.
  const auto only_text = [&] {
    const auto* one = &property->reader.shape();
    if (item) one = one->items.get();
    return one && one->types == ValueShape::text;
  };
  const bool kept = part.is_file && property && !said_json && only_text();
  if (!kept && (body_kind(type) == BodyKind::json || (said_json && type.empty()))) {
    auto parsed = json::parse(part.body, arena);
    if (!parsed) return wrong("type", "must be a JSON text");
    return sanitizer_.apply_to_member(part.name, item && !parsed->is(Type::array), *parsed, arena);
  }
  // A file stays as it is.
  if (part.is_file || (!type.empty() && body_kind(type) != BodyKind::text)) return Value::of(part.body);
  if (!json::valid_utf8(part.body)) return wrong("type", "must be UTF-8");
  const auto* shape = property ? &property->reader.shape() : shape_.additional.get();
  if (is_list(shape)) shape = shape->items.get();
  auto value = coerce(part.body, shape);
  return value ? sanitizer_.apply_to_member(part.name, item, *value, arena) : wrong("type", std::string(value.error()));
}

Result<Value> BodyReader::multipart(std::string_view bytes, std::string_view content_type, Arena& arena,
                                    std::vector<FieldError>& errors) const {
  const bool names = essence(content_type) == "multipart/form-data";
  const auto boundary = http::multipart_boundary(content_type, names);
  if (!boundary) return fail(kMalformedBody, "the Content-Type names no boundary");
  Parts taken{arena};
  http::MultipartParser parser{*boundary, {.parts = kMostParts, .part = bytes.size(), .form = names}, taken};
  Result<> read;
  for (; read && !bytes.empty(); bytes.remove_prefix(std::min(kPiece, bytes.size())))
    read = parser.feed(bytes.substr(0, kPiece));
  if (read) read = parser.finish();
  if (!read) return fail(kMalformedBody, "the multipart body cannot be read: " + read.error().detail);
  std::vector<Value> items;
  json::ObjectBuilder object;
  std::map<std::size_t, std::vector<Value>> lists;  // by the member's place
  for (auto& part : taken.parts) {
    if (errors.size() >= kMostErrors) break;
    const auto* known = names ? property(part.name) : nullptr;
    const auto value = part_value(part, known, arena, errors);
    if (!names) {
      items.push_back(value);
      continue;
    }
    const auto [place, added] = object.add(part.name, value);
    const bool list = known && is_list(&known->reader.shape()) && !value.is(Type::array);
    if (added) {
      if (list) lists[place].push_back(value);
    } else if (list && object.at(place).is(Type::array) && !lists.contains(place)) {  // it began as one JSON text
      auto& values = lists[place];
      values.assign(object.at(place).array().begin(), object.at(place).array().end());
      values.push_back(value);
    } else if (list && lists.contains(place)) {
      lists[place].push_back(value);
    } else {
      errors.push_back({"body", "/" + std::string(part.name), "unique", "is given twice"});
    }
  }
  const auto kept = [&](const std::vector<Value>& from) {
    auto* values = arena.array<Value>(from.size());
    std::ranges::copy(from, values);
    return Value::array({values, from.size()});
  };
  if (!names) return kept(items);
  for (auto& [place, values] : lists) object.at(place) = kept(values);
  return object.finish(arena);
}

}  // namespace plimsoll::contract
