#include "plimsoll/contract/sanitize.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/walk.hpp"

#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <new>
#include <optional>
#include <set>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

constexpr std::size_t kMostPlaces = 20'000;  ///< combinations of schemas that one value may have

const std::uint8_t* bytes_of(std::string_view text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

bool is_control(ucs4_t c) { return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7F && c <= 0x9F); }

std::string_view without_controls(std::string_view text, Arena& arena) {
  char* out = nullptr;
  std::size_t size = 0;
  for (std::size_t at = 0; at < text.size();) {
    ucs4_t c = 0;
    const auto length = static_cast<std::size_t>(u8_mbtouc(&c, bytes_of(text) + at, text.size() - at));
    if (is_control(c)) {
      if (!out) {
        out = arena.array<char>(text.size());
        std::copy_n(text.data(), size = at, out);
      }
    } else if (out) {
      std::copy_n(text.data() + at, length, out + size);
      size += length;
    }
    at += length;
  }
  return out ? std::string_view(out, size) : text;
}

std::string_view normalised(std::string_view text, Arena& arena) {
  if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; })) return text;
  std::size_t size = 0;
  const std::unique_ptr<std::uint8_t, decltype(&std::free)> made{
      u8_normalize(UNINORM_NFC, bytes_of(text), text.size(), nullptr, &size), &std::free};
  if (!made && errno == ENOMEM) throw std::bad_alloc();
  if (!made) return text;  // no UTF-8
  const std::string_view written(reinterpret_cast<const char*>(made.get()), size);
  return written == text ? text : arena.keep(written);
}

std::string_view trimmed(std::string_view text) {
  ucs4_t c = 0;
  while (!text.empty()) {
    const auto length = u8_mbtouc(&c, bytes_of(text), text.size());
    if (!uc_is_property_white_space(c)) break;
    text.remove_prefix(static_cast<std::size_t>(length));
  }
  while (!text.empty()) {
    const auto* before = u8_prev(&c, bytes_of(text) + text.size(), bytes_of(text));
    if (!before || !uc_is_property_white_space(c)) break;
    text = text.substr(0, static_cast<std::size_t>(before - bytes_of(text)));
  }
  return text;
}

const Value* said_by(const Value& schema) { return schema.at("x-plimsoll", "sanitize"); }

}  // namespace

bool says_sanitize(const Value& document) {
  return json::any_value(document, [](const Value& value) { return said_by(value) != nullptr; });
}

Result<Sanitizing> read_sanitizing(const Value& from, Sanitizing outer) {
  if (from.is(Type::boolean) && !from.boolean()) return Sanitizing{};
  if (!from.is(Type::object))
    return config::wrong(from, "`sanitize` is an object or false", "Write `sanitize: {trim: true, nfc: true}`.");
  if (auto done = config::read(from, kSanitizeFields, &outer); !done) return std::unexpected(std::move(done).error());
  return outer;
}

Result<Sanitizing> sanitizing_of(const Operation& operation) {
  Sanitizing made;
  if (const auto* said = operation.find_extension("sanitize"))
    for (const auto* scope : said->scopes) {
      auto read = read_sanitizing(*scope, made);
      if (!read) return read;
      made = *read;
    }
  return made;
}

std::string_view sanitized(std::string_view text, const Sanitizing& how, Arena& arena) {
  if (how.control == config::Control::strip) text = without_controls(text, arena);
  if (how.nfc) text = normalised(text, arena);
  return how.trim ? trimmed(text) : text;
}

/// A value of the instance: what is done to it where it is a text, and what lies below.
struct Sanitizer::Place {
  Sanitizing texts;
  bool below = false;                                         ///< something in it may be changed
  std::vector<std::pair<std::string, const Place*>> members;  ///< all that are declared, sorted; null: left as they are
  const Place* other = nullptr;                               ///< members that are not declared
  std::vector<const Place*> prefix;
  const Place* items = nullptr;  ///< the items behind them

  bool any() const { return below || texts.any(); }
  const Place* member(std::string_view name) const {
    const auto found = std::ranges::lower_bound(members, name, {}, [](auto& m) { return std::string_view(m.first); });
    return found != members.end() && found->first == name ? found->second : other;
  }
};

/// Walks schema and instance together: each set of schemas that may apply to one value, with what holds around it, is
/// one place. Which of several alternatives applies is not asked: what any of them says is done.
class SanitizerBuilder {
 public:
  using Place = Sanitizer::Place;
  using Schemas = std::set<const Value*>;

  SanitizerBuilder(const Contract& contract, Sanitizer& made) : contract_(contract), made_(made) {}

  Result<> build(const Value& schema, const Sanitizing& outer, const Value* also) {
    if (!outer.any() && !says(schema) && !(also && says(*also))) return {};
    const auto* root = place(closed(also ? Schemas{&schema, also} : Schemas{&schema}), outer);
    while (!open_.empty() && !error_) {
      const auto next = open_.back();
      open_.pop_back();
      describe(*known_.at(next), next.first, next.second);
      if (known_.size() > kMostPlaces)
        error_ = wrong(schema, "the schemas combine in too many ways to follow `sanitize`");
    }
    if (error_) return std::unexpected(std::move(*error_));
    find_below();
    if (root->any()) made_.root_ = root;
    return {};
  }

 private:
  using Key = std::pair<Schemas, Sanitizing>;

  static Error wrong(const Value& at, std::string what, std::string remedy = {}) {
    return std::move(config::wrong(at, std::move(what), std::move(remedy))).error();
  }

  const Value* referred(const Value& schema) const {
    const auto* reference = schema.find("$ref");
    if (!reference || !reference->is(Type::string)) return nullptr;
    if (std::string pointer; reference->string().starts_with("#/") &&
                             append_decoded(pointer, reference->string().substr(1)))  // what stands between counts too
      if (const auto* target = json::resolve(*contract_.root, pointer)) return target;
    const auto& target = contract_.resolve(schema);
    return &target == &schema ? nullptr : &target;
  }

  /// Whether a schema, or what it refers to, says anything.
  bool says(const Value& schema) const {
    std::set<const Value*> seen;
    std::vector<const Value*> open{&schema};
    while (!open.empty()) {
      const auto* value = open.back();
      open.pop_back();
      if (!seen.insert(value).second) continue;
      if (said_by(*value)) return true;
      if (const auto* target = referred(*value)) open.push_back(target);
      for (const auto& member : value->object())
        if (!member.value.is(Type::string)) open.push_back(&member.value);
      for (const auto& item : value->array()) open.push_back(&item);
    }
    return false;
  }

  /// With all schemas that may apply to the same value.
  Schemas closed(Schemas from) const {
    Schemas all;
    std::vector<const Value*> open(from.begin(), from.end());
    while (!open.empty()) {
      const auto* schema = open.back();
      open.pop_back();
      if (!schema->is(Type::object) || !all.insert(schema).second) continue;
      if (const auto* target = referred(*schema)) open.push_back(target);
      for (std::string_view keyword : {"allOf", "anyOf", "oneOf"})
        if (const auto* list = schema->find(keyword))
          for (const auto& branch : list->array()) open.push_back(&branch);
      for (std::string_view keyword : {"if", "then", "else"})
        if (const auto* branch = schema->find(keyword)) open.push_back(branch);
      if (const auto* dependent = schema->find("dependentSchemas"))
        for (const auto& member : dependent->object()) open.push_back(&member.value);
    }
    return all;
  }

  Place* place(Schemas schemas, const Sanitizing& outer) {
    if (error_) return nullptr;
    const auto inner = in_force(schemas, outer);
    auto [known, added] = known_.try_emplace(Key{std::move(schemas), inner});
    if (added) {
      known->second = made_.places_.emplace_back(std::make_unique<Place>()).get();
      open_.push_back(known->first);
    }
    return known->second;
  }

  /// What holds for a value of these schemas and for what is below it.
  Sanitizing in_force(const Schemas& schemas, Sanitizing outer) {
    const Value* first = nullptr;
    std::optional<Sanitizing> said;
    for (const auto* schema : schemas) {
      const auto* own = said_by(*schema);
      if (!own) continue;
      auto read = read_sanitizing(*own, outer);
      if (!read) {
        error_ = std::move(read).error();
        return outer;
      }
      if (said && *said != *read) {
        error_ = wrong(*own,
                       "another schema of the same value says otherwise" +
                           (first->position().line ? " (line " + std::to_string(first->position().line) + ")" : ""),
                       "Say the same in both, or say it in one of them only.");
        return outer;
      }
      said = *read, first = own;
    }
    if (said) return *said;
    const bool secret = std::ranges::any_of(schemas, [](const Value* schema) {
      const auto* format = schema->find("format");
      return format && format->is(Type::string) && format->string() == "password";
    });
    return secret ? Sanitizing{} : outer;
  }

  void describe(Place& made, const Schemas& schemas, const Sanitizing& texts) {
    made.texts = texts;
    std::set<std::string_view> names;
    std::size_t prefix = 0;
    for (const auto* schema : schemas) {
      if (const auto* properties = schema->find("properties"))
        for (const auto& member : properties->object()) names.insert(member.key);
      if (const auto* list = schema->find("prefixItems")) prefix = std::max(prefix, list->array().size());
      for (std::string_view keyword : {"patternProperties", "unevaluatedProperties", "unevaluatedItems", "contains"})
        if (const auto* found = schema->find(keyword); found && says(*found))
          error_ = wrong(*found, "`sanitize` below `" + std::string(keyword) + "` cannot be followed to its values",
                         "Say it in the schema around, or in one of `properties`, `additionalProperties` or `items`.");
    }
    for (const auto name : names)
      made.members.emplace_back(std::string(name),
                                place(below(schemas,
                                            [&](const Value& schema) {
                                              const auto* properties = schema.find("properties");
                                              const auto* found = properties ? properties->find(name) : nullptr;
                                              return found ? found : schema.find("additionalProperties");
                                            }),
                                      texts));
    made.other = place(below(schemas, [](const Value& schema) { return schema.find("additionalProperties"); }), texts);
    const auto item = [&](std::size_t index) {
      return place(below(schemas,
                         [&](const Value& schema) {
                           const auto* list = schema.find("prefixItems");
                           return list && index < list->array().size() ? &list->array()[index] : schema.find("items");
                         }),
                   texts);
    };
    for (std::size_t i = 0; i < prefix; ++i) made.prefix.push_back(item(i));
    made.items = item(prefix);
  }

  template <class Step>
  Schemas below(const Schemas& schemas, const Step& step) const {
    Schemas found;
    for (const auto* schema : schemas)
      if (const Value* next = step(*schema)) found.insert(next);
    return closed(std::move(found));
  }

  /// Passes on upward what is changed, and takes away the ways to what is not.
  void find_below() {
    const auto changes = [](const Place* place) { return place && place->any(); };
    for (bool more = true; more;) {
      more = false;
      for (auto at = made_.places_.rbegin(); at != made_.places_.rend(); ++at) {
        auto& place = **at;
        if (place.below) continue;
        place.below = changes(place.other) || changes(place.items) || std::ranges::any_of(place.prefix, changes) ||
                      std::ranges::any_of(place.members, [&](auto& member) { return changes(member.second); });
        more |= place.below;
      }
    }
    const auto drop = [&](const Place*& place) {
      if (!changes(place)) place = nullptr;
    };
    for (auto& place : made_.places_) {
      drop(place->other);
      drop(place->items);
      for (auto& item : place->prefix) drop(item);
      for (auto& member : place->members) drop(member.second);
    }
  }

  const Contract& contract_;
  Sanitizer& made_;
  std::map<Key, Place*> known_;
  std::vector<Key> open_;
  std::optional<Error> error_;
};

Sanitizer::Sanitizer() = default;
Sanitizer::Sanitizer(Sanitizer&&) noexcept = default;
Sanitizer& Sanitizer::operator=(Sanitizer&&) noexcept = default;
Sanitizer::~Sanitizer() = default;

Result<Sanitizer> Sanitizer::of(const Contract& contract, const Value& schema, const Sanitizing& outer,
                                const Value* also) {
  Sanitizer made;
  if (auto built = SanitizerBuilder{contract, made}.build(schema, outer, also); !built)
    return std::unexpected(std::move(built).error());
  return made;
}

Sanitizing Sanitizer::texts_of(std::string_view member) const {
  const auto* place = root_ ? root_->member(member) : nullptr;
  return place ? place->texts : Sanitizing{};
}

/// Whether `value` had to be changed. What is shared with others is copied before.
bool Sanitizer::change(const Place& place, Value& value, Arena& arena) {
  const auto each = [&](auto items, const auto& inner_of, const auto& value_of, const auto& made_of) {
    using Item = std::remove_cvref_t<decltype(items[0])>;
    Item* own = nullptr;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto* inner = inner_of(items[i], i);
      if (!inner) continue;
      auto changed = value_of(items[i]);
      if (!change(*inner, changed, arena)) continue;
      if (!own) std::ranges::copy(items, own = arena.array<Item>(items.size()));
      own[i] = made_of(items[i], changed);
    }
    return own;
  };
  switch (value.type()) {
    case Type::string: {
      const auto text = sanitized(value.string(), place.texts, arena);
      if (text.size() == value.string().size() && text.data() == value.string().data()) return false;
      const auto at = value.position();
      value = Value::of(text);
      value.set_position(at);
      return true;
    }
    case Type::object: {
      if (!place.below) return false;
      const auto members = std::as_const(value).object();
      auto* own = each(
          members, [&](const json::Member& member, std::size_t) { return place.member(member.key); },
          [](const json::Member& member) { return member.value; },
          [](json::Member member, const Value& changed) {
            member.value = changed;
            return member;
          });
      if (own) value = Value::object({own, members.size()});
      return own != nullptr;
    }
    case Type::array: {
      if (!place.below) return false;
      const auto items = std::as_const(value).array();
      auto* own = each(
          items, [&](const Value&, std::size_t i) { return i < place.prefix.size() ? place.prefix[i] : place.items; },
          [](const Value& item) { return item; }, [](const Value&, const Value& changed) { return changed; });
      if (own) value = Value::array({own, items.size()});
      return own != nullptr;
    }
    default: return false;
  }
}

Value Sanitizer::apply(const Value& value, Arena& arena) const {
  auto made = value;
  if (root_) change(*root_, made, arena);
  return made;
}

Value Sanitizer::apply_to_member(std::string_view name, bool item, const Value& value, Arena& arena) const {
  const auto* place = root_ ? root_->member(name) : nullptr;
  if (place && item) place = place->items;
  auto made = value;
  if (place) change(*place, made, arena);
  return made;
}

Value Sanitizer::apply_to_items(const Value& list, Arena& arena) const {
  if (!root_) return list;
  auto made = list.clone(arena);
  for (auto& item : made.array()) change(*root_, item, arena);
  return made;
}

}  // namespace plimsoll::contract
