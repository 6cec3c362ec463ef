#include "plimsoll/contract/schema_view.hpp"

#include "plimsoll/contract/members.hpp"
#include "plimsoll/contract/structure.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

constexpr std::string_view kComponents = "#/components/schemas/";

const FieldSpec* keyword(std::string_view name) {
  for (const auto& each : schema_keywords())
    if (each.name == name) return &each;
  return nullptr;
}

/// Whether the schemas behind a keyword are of the very value that the schema describes.
bool of_same_value(std::string_view name) {
  return name == "allOf" || name == "anyOf" || name == "oneOf" || name == "if" || name == "then" || name == "else" ||
         name == "dependentSchemas";
}

}  // namespace

struct SchemaView::Place {
  const MarkedPlace* marks = nullptr;  ///< of the members of the value
  bool top = true;                     ///< it is the whole value, not a member of it

  /// Of a member of the value, or of an item.
  Place below(const MarkedPlace* there) const { return {there, false}; }
};

SchemaView::SchemaView(const Contract& contract, bool extensions) : contract_(contract), extensions_(extensions) {
  const auto* schemas = contract.root->at("components", "schemas");
  if (!schemas) return;
  components_.reserve(schemas->object().size());
  for (const auto& member : schemas->object()) {
    by_name_.emplace(member.key, components_.size());
    components_.push_back({member.key, &member.value, false, false, false, {}, {}});
    names_.emplace(member.key);
  }
  for (std::size_t i = 0; i < components_.size(); ++i) note(i, *components_[i].schema);
  for (std::size_t i = 0; i < components_.size(); ++i)
    for (const auto to : components_[i].refers) components_[to].referred.push_back(i);
  // What a component refers to, it is.
  std::vector<std::size_t> changed(components_.size());
  for (std::size_t i = 0; i < changed.size(); ++i) changed[i] = i;
  while (!changed.empty()) {
    const auto& from = components_[changed.back()];
    changed.pop_back();
    for (const auto at : from.referred) {
      auto& to = components_[at];
      const auto before = to.read_only + to.write_only + to.defaults;
      to.read_only |= from.read_only, to.write_only |= from.write_only, to.defaults |= from.defaults;
      if (to.read_only + to.write_only + to.defaults != before) changed.push_back(at);
    }
  }
  read_only_ = has_mark(*contract.root, Mark::read_only);
  write_only_ = has_mark(*contract.root, Mark::write_only);
}

void SchemaView::note(std::size_t component, const Value& schema) {
  if (!schema.is(Type::object)) return;
  auto& noted = components_[component];
  for (const auto& member : schema.object()) {
    const bool on = member.value.is(Type::boolean) && member.value.boolean();
    if (member.key == "readOnly") noted.read_only |= on;
    if (member.key == "writeOnly") noted.write_only |= on;
    if (member.key == "default") noted.defaults = true;
    if (member.key == "$ref" && member.value.is(Type::string))
      if (const auto to = component_of(member.value.string()))
        if (std::ranges::find(noted.refers, *to) == noted.refers.end()) noted.refers.push_back(*to);
  }
  for_each_child(schema, Kind::schema, [&](const Value& child, Kind kind, const Step&) {
    if (kind == Kind::schema) note(component, child);
  });
}

std::optional<std::size_t> SchemaView::component_of(std::string_view reference) const {
  if (!reference.starts_with(kComponents)) return std::nullopt;
  const auto token = reference.substr(kComponents.size());
  if (token.contains('/')) return std::nullopt;
  const auto name = json::unescape_token(token);
  const auto found = name ? by_name_.find(std::string_view(*name)) : by_name_.end();
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

bool SchemaView::is(const Value& schema, const Value& target) const {
  const auto &one = contract_.resolve(schema), &other = contract_.resolve(target);
  if (&one == &other) return true;
  return one.is(Type::object) && one.find("properties") && !schema.find("$ref") && json::equal(one, other);
}

const std::set<std::size_t>& SchemaView::reaching(const Value& target) {
  auto [at, first] = reaching_.try_emplace(&contract_.resolve(target));
  auto& found = at->second;
  if (!first) return found;
  std::vector<std::size_t> next;
  for (std::size_t i = 0; i < components_.size(); ++i)
    if (components_[i].schema == at->first) next.push_back(i);
  while (!next.empty()) {
    const auto one = next.back();
    next.pop_back();
    for (const auto by : components_[one].referred)
      if (found.insert(by).second) next.push_back(by);
  }
  return found;
}

bool SchemaView::affected(std::size_t component, const View& view) {
  const auto& of = components_[component];
  if (view.direction == Direction::request && (of.read_only || of.write_only || of.defaults)) return true;
  return view.replaced && reaching(*view.replaced->schema).contains(component);
}

std::string SchemaView::free_name(std::string name) const {
  if (!names_.contains(name)) return name;
  for (int number = 2;; ++number)
    if (auto other = name + "_" + std::to_string(number); !names_.contains(other)) return other;
}

std::string SchemaView::seen_as(std::size_t component, const View& view) {
  const std::string own(components_[component].name);
  if (view.direction == Direction::none || !affected(component, view)) return own;
  std::string kind = view.direction == Direction::request ? "request" : "response";
  const bool replaces = view.replaced && reaching(*view.replaced->schema).contains(component);
  if (replaces) kind += "\n" + view.replaced->name;
  auto& name = variant_names_[{component, kind}];
  if (!name.empty()) return name;
  name = free_name(view.direction == Direction::request ? own + "Request" : "Partial" + own);
  names_.insert(name);
  auto variant = std::make_unique<Variant>(Variant{component, view, {}, name});
  if (replaces) variant->replaced = *view.replaced;
  variant->view.replaced = replaces ? &variant->replaced : nullptr;
  variants_.push_back(std::move(variant));
  return name;
}

std::string SchemaView::name_of_added(const std::string& name) {
  auto& known = added_[name];
  if (known.empty()) names_.insert(known = free_name(name));
  return known;
}

std::string SchemaView::add(const std::string& name, const std::string& schema, Direction direction) {
  const auto actual = name_of_added(name);
  if (!written_.insert(actual).second) return actual;
  Arena arena;
  const auto place = texts_.size();
  texts_.emplace_back(actual, std::string{});
  std::string text = schema;
  if (auto parsed = json::parse(schema, arena)) {
    text.clear();
    write(text, *parsed, {.direction = direction});
  }
  texts_[place].second = std::move(text);
  return actual;
}

void SchemaView::write(std::string& out, const Value& schema, const View& view) {
  const bool marked = view.direction == Direction::request    ? read_only_
                      : view.direction == Direction::response ? write_only_
                                                              : false;
  if (!marked || schema.find("$ref")) return write_at(out, schema, view, {});
  const Marked marks{*contract_.root, schema,
                     view.direction == Direction::request ? Mark::read_only : Mark::write_only};
  write_at(out, schema, view, {.marks = marks.place()});
}

void SchemaView::write_at(std::string& out, const Value& schema, const View& view, const Place& place) {
  if (!schema.is(Type::object)) {
    json::Writer{out}.value(schema);
    return;
  }
  if (view.replaced && is(schema, *view.replaced->schema)) {
    Members members{out};
    members.key("$ref");
    json::append_string(out, std::string(kComponents) + name_of_added(view.replaced->name));
    return members.end();
  }
  const auto* dropped = view.direction == Direction::request ? schema.find("default") : nullptr;
  const auto* properties = schema.find("properties");
  const bool page =
      view.replaced && !view.replaced->rows.empty() && place.top && properties && properties->find(view.replaced->rows);
  Members members{out};
  for (const auto& [key, value, at] : schema.object()) {
    if (key == "x-plimsoll" && !extensions_) continue;
    if (key == "default" && dropped) continue;
    if (key == "description" && dropped && value.is(Type::string)) continue;
    members.key(key);
    const auto* field = keyword(key);
    if (key == "$ref" && value.is(Type::string)) {
      json::append_string(out, reference(value.string(), view));
    } else if (key == "properties" && value.is(Type::object)) {
      write_properties(out, value, view, place, page);
    } else if (key == "required" && value.is(Type::array)) {
      write_required(out, value, view, place, page);
    } else if (key == "discriminator" && value.is(Type::object)) {
      write_discriminator(out, value, schema, view);
    } else if (!field) {
      json::Writer{out}.value(value);
    } else if (field->shape == Shape::map && value.is(Type::object)) {
      const auto inner = of_same_value(key) ? place : place.below(nullptr);
      Members entries{out};
      for (const auto& entry : value.object()) {
        entries.key(entry.key);
        write_at(out, entry.value, view, inner);
      }
      entries.end();
    } else if (value.is(Type::array)) {
      out += '[';
      for (std::size_t i = 0; i < value.array().size(); ++i) {
        if (i) out += ',';
        const auto* item = place.marks ? place.marks->item(i) : nullptr;
        write_at(out, value.array()[i], view, of_same_value(key) ? place : place.below(item));
      }
      out += ']';
    } else {
      const auto* there = !place.marks                    ? nullptr
                          : key == "items"                ? place.marks->items
                          : key == "additionalProperties" ? place.marks->other
                                                          : nullptr;
      write_at(out, value, view, of_same_value(key) ? place : place.below(there));
    }
  }
  if (page && !schema.find("required")) {
    members.key("required");
    write_required(out, Value::array({}), view, place, true);
  }
  if (dropped) {
    // A generated client takes a member with a default for one that is there.
    const auto* said = schema.find("description");
    auto sentence = said && said->is(Type::string) ? std::string(said->string()) + " " : std::string{};
    members.key("description");
    json::append_string(out, sentence + "Default: `" + json::to_string(*dropped) + "`.");
  }
  members.end();
}

std::string SchemaView::reference(std::string_view text, const View& view) {
  if (text.starts_with(Promises::kAdded))
    return std::string(kComponents) + name_of_added(std::string(text.substr(Promises::kAdded.size())));
  const auto to = component_of(text);
  if (!to) return std::string(text);
  std::string token;
  json::append_token(token, seen_as(*to, view));
  return std::string(kComponents) + token.substr(1);
}

/// A value of the discriminator is the name of a component, unless the mapping says otherwise: where that is seen under
/// another name, the mapping says so.
void SchemaView::write_discriminator(std::string& out, const Value& discriminator, const Value& schema,
                                     const View& view) {
  std::vector<std::pair<std::string, std::string>> mapping;
  std::vector<std::string_view> mapped;
  if (const auto* said = discriminator.find("mapping"))
    for (const auto& entry : said->object())
      if (entry.value.is(Type::string)) {
        mapped.push_back(entry.value.string());
        mapping.emplace_back(entry.key, reference(entry.value.string(), view));
      }
  for (const auto* word : {"oneOf", "anyOf"})
    if (const auto* parts = schema.find(word))
      for (const auto& part : parts->array()) {
        const auto* to = part.find("$ref");
        const auto component = to && to->is(Type::string) ? component_of(to->string()) : std::nullopt;
        if (!component || std::ranges::find(mapped, to->string()) != mapped.end()) continue;
        if (auto seen = reference(to->string(), view); seen != to->string())
          mapping.emplace_back(components_[*component].name, std::move(seen));
      }
  Members members{out};
  for (const auto& [key, value, at] : discriminator.object()) {
    if (key == "mapping" || (key == "x-plimsoll" && !extensions_)) continue;
    members.key(key);
    json::Writer{out}.value(value);
  }
  if (!mapping.empty()) {
    members.key("mapping");
    Members entries{out};
    for (const auto& [name, to] : mapping) {
      entries.key(name);
      json::append_string(out, to);
    }
    entries.end();
  }
  members.end();
}

void SchemaView::write_properties(std::string& out, const Value& properties, const View& view, const Place& place,
                                  bool page) {
  Members members{out};
  for (const auto& [key, value, at] : properties.object()) {
    const auto* there = place.marks ? place.marks->member(key) : nullptr;
    if (there && there->marked) continue;
    members.key(key);
    write_at(out, value, view, place.below(there));
  }
  if (page)
    for (const auto& [name, schema] : view.replaced->others) {
      members.key(name);
      out += schema;
    }
  members.end();
}

void SchemaView::write_required(std::string& out, const Value& required, const View& view, const Place& place,
                                bool page) const {
  json::Writer writer{out};
  writer.begin_array();
  bool there = false;
  for (const auto& name : required.array()) {
    if (!name.is(Type::string)) continue;
    const auto* member = place.marks ? place.marks->member(name.string()) : nullptr;
    if (member && member->marked) continue;
    there |= page && name.string() == view.replaced->rows;
    writer.string(name.string());
  }
  if (page && !there) writer.string(view.replaced->rows);
  writer.end_array();
}

void SchemaView::write_components(std::string& out) {
  Members members{out};
  for (const auto& component : components_) {
    members.key(component.name);
    write(out, *component.schema, {.direction = Direction::response});
  }
  for (std::size_t i = 0; i < variants_.size(); ++i) {  // writing one may see others
    members.key(variants_[i]->name);
    write(out, *components_[variants_[i]->component].schema, variants_[i]->view);
  }
  for (const auto& [name, text] : texts_) {
    members.key(name);
    out += text;
  }
  members.end();
}

}  // namespace plimsoll::contract
