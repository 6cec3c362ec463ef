#include "plimsoll/contract/compiled.hpp"
#include "plimsoll/http/characters.hpp"

#include <map>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

/// Two fields of which an object has at most one.
struct Exclusion {
  Kind kind;
  std::string_view one, other;
};
constexpr Exclusion kExclusions[] = {
    {Kind::parameter, "example", "examples"},
    {Kind::header, "example", "examples"},
    {Kind::media_type, "example", "examples"},
    {Kind::parameter, "content", "style"},
    {Kind::parameter, "content", "explode"},
    {Kind::parameter, "content", "allowReserved"},
    {Kind::header, "content", "style"},
    {Kind::header, "content", "explode"},
    {Kind::media_type, "encoding", "prefixEncoding"},
    {Kind::media_type, "encoding", "itemEncoding"},
    {Kind::encoding, "encoding", "prefixEncoding"},
    {Kind::encoding, "encoding", "itemEncoding"},
    {Kind::example, "value", "externalValue"},
    {Kind::example, "value", "dataValue"},
    {Kind::example, "value", "serializedValue"},
    {Kind::example, "serializedValue", "externalValue"},
};

/// What one object of OpenAPI 3.2 may not be, beyond the names and types of its fields.
class Rules {
 public:
  Rules(const Value& root, const Trail& trail, Report& report) : root_(root), trail_(trail), report_(report) {}

  void check(const Value& value, Kind kind) {
    if (referable(kind) && kind != Kind::path_item && value.find("$ref")) return;
    for (const auto& [of, one, other] : kExclusions)
      if (of == kind && value.find(one) && value.find(other))
        wrong(*value.find(other), other,
              std::string(name_of(kind)) + " has both `" + std::string(one) + "` and `" + std::string(other) + "`",
              "Keep one of them.");
    switch (kind) {
      case Kind::document: return tags(value.find("tags"));
      case Kind::path_item: return path_item(value);
      case Kind::operation: return query_strings(value);
      case Kind::parameter: return parameter(value);
      case Kind::header: return header(value);
      case Kind::response:
      case Kind::encoding: return header_names(value.find("headers"));
      case Kind::schema: return xml(value.find("xml"));
      default: return;
    }
  }

 private:
  void wrong(const Value& at, std::string_view field, std::string what, std::string remedy = {},
             const LoadError& error = load_error::kExcludedField) {
    const Trail here{&trail_, {field}};
    report_.add(error, &at, here.pointer(), std::move(what), std::move(remedy));
  }
  static std::string_view text(const Value& value, std::string_view field) {
    const auto* found = value.find(field);
    return found && found->is(Type::string) ? found->string() : std::string_view{};
  }

  void path_item(const Value& item) {
    query_strings(item);
    const auto* operations = item.find("additionalOperations");
    if (!operations) return;
    for (const auto& member : operations->object()) {
      const auto small = lowered(member.key);
      const Trail below{&trail_, {"additionalOperations", member.key}};
      const auto name = "\"" + std::string(member.key) + "\"";
      if (contains(kMethodFields, small))
        report_.add(load_error::kInvalidMethod, member, below.pointer(),
                    name + " has a field of its own in a path item: `" + small + "`", "Write it there.");
      else if (!is_token(member.key) || member.key == "CONNECT")
        report_.add(load_error::kInvalidMethod, member, below.pointer(), name + " is not a request method");
    }
  }

  /// A parameter in the place of the whole query leaves none to others.
  void query_strings(const Value& holder) {
    const auto* list = holder.find("parameters");
    if (!list) return;
    const Value* whole = nullptr;
    bool others = false;
    for (const auto& item : list->array()) {
      const auto* parameter = dereference(root_, item);
      if (!parameter) continue;
      const auto in = text(*parameter, "in");
      if (in == "querystring" && whole)
        wrong(item, "parameters", "two parameters are `in: querystring`", "Keep one of them.",
              load_error::kInvalidParameter);
      if (in == "querystring") whole = &item;
      others |= in == "query";
    }
    if (whole && others)
      wrong(*whole, "parameters", "a parameter `in: querystring` cannot be combined with one `in: query`",
            "The whole query is one value, or several parameters: keep one kind.", load_error::kInvalidParameter);
  }

  void parameter(const Value& value) {
    const auto in = text(value, "in"), name = text(value, "name");
    if (in == "header" && !is_token(name))
      wrong(*value.find("name"), "name", "\"" + std::string(name) + "\" is not a valid header name",
            "Use letters, digits and `-`.", load_error::kInvalidParameter);
    if (in == "path" && name.find_first_of("{}") != name.npos)
      wrong(*value.find("name"), "name", "\"" + std::string(name) + "\" cannot be in a path template",
            "Remove the braces.", load_error::kInvalidParameter);
    if (const auto* schema = in == "querystring" ? value.find("schema") : nullptr)
      wrong(*schema, "schema", "a parameter `in: querystring` has `content`, and no `schema`",
            "Name the media type of the query under `content`.", load_error::kInvalidParameter);
    if (const auto* reserved = value.find("allowReserved"))
      if (in == "header" || (in == "cookie" && text(value, "style") == "cookie"))
        wrong(*reserved, "allowReserved", "nothing is percent-encoded here, so that `allowReserved` has no meaning",
              "Remove it.");
  }

  void header(const Value& value) {
    if (const auto* reserved = value.find("allowReserved"))
      wrong(*reserved, "allowReserved",
            "nothing is percent-encoded in a header, so that `allowReserved` has no meaning", "Remove it.");
  }

  void header_names(const Value* headers) {
    if (!headers) return;
    for (const auto& member : headers->object())
      if (!is_token(member.key)) {
        const Trail below{&trail_, {"headers", member.key}};
        report_.add(load_error::kInvalidParameter, member, below.pointer(),
                    "\"" + std::string(member.key) + "\" is not a valid header name", "Use letters, digits and `-`.");
      }
  }

  void xml(const Value* xml) {
    if (!xml || !xml->find("nodeType")) return;
    for (const auto field : {"attribute", "wrapped"})
      if (const auto* given = xml->find(field))
        wrong(*given, "xml", "`xml` has both `nodeType` and `" + std::string(field) + "`",
              "Keep `nodeType`, which says it all.");
  }

  /// `parent` makes a tree of the tags.
  void tags(const Value* tags) {
    if (!tags) return;
    std::map<std::string_view, const Value*> known;
    for (const auto& tag : tags->array()) known.emplace(text(tag, "name"), &tag);
    std::int64_t index = 0;
    for (const auto& tag : tags->array()) {
      const Trail here{&trail_, {"tags", {}, index++}};
      const auto parent = text(tag, "parent");
      if (parent.empty()) continue;
      if (!known.contains(parent)) {
        report_.add(load_error::kBrokenReference, tag.find("parent"), here.pointer() + "/parent",
                    "the tag \"" + std::string(text(tag, "name")) + "\" is below \"" + std::string(parent) +
                        "\", and there is no such tag",
                    "Correct the name, or declare the tag under `tags`.");
        continue;
      }
      auto above = known.find(parent);
      for (std::size_t steps = 0; above != known.end() && above->second != &tag && steps < known.size(); ++steps)
        above = known.find(text(*above->second, "parent"));
      if (above != known.end() && above->second == &tag)
        report_.add(load_error::kReferenceCycle, tag.find("parent"), here.pointer() + "/parent",
                    "the tag \"" + std::string(text(tag, "name")) + "\" is below itself", "Break the circle.");
    }
  }

  const Value& root_;
  const Trail& trail_;
  Report& report_;
};

}  // namespace

void check_rules(const Value& root, const Value& value, Kind kind, const Trail& trail, int minor, Report& report) {
  if (minor >= 2) Rules{root, trail, report}.check(value, kind);
  const auto* words = kind == Kind::server_variable ? value.find("enum") : nullptr;
  if (words && words->is(Type::array) && words->array().empty())
    report.add(load_error::kInvalidServer, words, trail.pointer() + "/enum",
               "`enum` of a server's variable is empty, so that it can have no value");
}

}  // namespace plimsoll::contract
