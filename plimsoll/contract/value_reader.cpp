#include "plimsoll/contract/parameters.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/json/object_builder.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <memory>
#include <unordered_map>

namespace plimsoll::contract {

using json::Member;
using json::Value;

namespace {

constexpr std::size_t kMostItems = 10'000;

/// Parts at a delimiter, which may also be written percent-encoded (`%20`, `%7C`) where it is no reserved character.
std::vector<std::string_view> split(std::string_view text, char at, std::string_view also = {}) {
  std::vector<std::string_view> parts;
  std::size_t from = 0;
  for (std::size_t i = 0; i < text.size() && parts.size() < kMostItems;) {
    std::size_t width = text[i] == at ? 1 : 0;
    if (!width && !also.empty() && text.size() - i >= also.size()) {
      width = also.size();
      for (std::size_t k = 0; k < also.size(); ++k)
        if (std::toupper(static_cast<unsigned char>(text[i + k])) != also[k]) width = 0;
    }
    if (!width) {
      ++i;
      continue;
    }
    parts.push_back(text.substr(from, i - from));
    from = i += width;
  }
  parts.push_back(text.substr(from));
  return parts;
}

}  // namespace

std::span<RawPair> split_pairs(std::string_view text, Arena& arena, std::string_view separator) {
  if (text.empty()) return {};
  const auto most = static_cast<std::size_t>(std::ranges::count(text, separator[0])) + 1;
  auto* pairs = arena.array<RawPair>(most);
  std::size_t size = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator[0]), text.size());
    auto part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (separator[0] == ';') part = trimmed(part);
    if (part.empty()) continue;
    const auto equals = std::min(part.find('='), part.size());
    auto name = part.substr(0, equals);
    // No name of a cookie ends with a blank (RFC 6265, section 4.1.1), and many servers take it away.
    if (separator[0] == ';') name = trimmed(name);
    pairs[size++] = {name, part.substr(std::min(equals + 1, part.size()))};
  }
  return {pairs, size};
}

void decode_names(std::span<RawPair> pairs, Arena& arena) {
  for (auto& pair : pairs) {
    const auto decoded = decode(pair.name, arena, true);
    if (decoded)
      pair.name = *decoded;
    else
      pair.malformed = true;
  }
}

/// One value under construction.
class ValueReader::Reading {
 public:
  Reading(const ValueReader& reader, Arena& arena) : how_(reader.how_), shape_(reader.shape_), arena_(arena) {}
  Found found;

  Found give(Value value) {
    if (found.wrong.empty()) found.value = &arena_.make<Value>(value);
    return std::move(found);
  }
  /// The first thing that is wrong is the one told.
  void blame(std::string_view sentence, std::string pointer = {}) {
    if (found.wrong.empty()) found.wrong = sentence, found.pointer = std::move(pointer);
  }
  Found wrong(std::string_view sentence, std::string pointer = {}) {
    blame(sentence, std::move(pointer));
    found.value = nullptr;
    return std::move(found);
  }

  std::string_view text(std::string_view raw) {
    if (!how_.encoded) {
      if (json::valid_utf8(raw)) return raw;
      blame("is not UTF-8");
      return {};
    }
    if (auto decoded = decode(raw, arena_, how_.plus)) { return *decoded; }
    blame("is not percent-encoded UTF-8");
    return {};
  }
  Value plain(std::string_view raw, const ValueShape* shape, std::string pointer = {}) {
    const auto decoded = text(raw);
    auto value = coerce(decoded, shape);
    if (value) return *value;
    blame(value.error(), std::move(pointer));
    return {};
  }
  Found primitive(std::string_view raw) {
    const auto decoded = text(raw);
    if (!found.wrong.empty()) return wrong(found.wrong);
    found.plain = decoded;
    if (shape_.types == ValueShape::null && decoded.empty()) return give({});
    auto value = coerce(decoded, &shape_);
    if (!value) return wrong(value.error());
    return give(*value);
  }
  Found content(std::string_view raw) {
    const auto decoded = text(raw);
    if (!found.wrong.empty()) return wrong(found.wrong);
    if (how_.text) return give(Value::of(decoded));
    auto parsed = json::parse(decoded, arena_);
    if (!parsed) return wrong("must be a JSON text");
    return give(*parsed);
  }
  Value item(std::string_view raw, std::string pointer) {
    if (!how_.json_items) return plain(raw, shape_.items.get(), std::move(pointer));
    auto parsed = json::parse(text(raw), arena_);
    if (parsed) return *parsed;
    blame("must be a JSON text", std::move(pointer));
    return {};
  }
  Found list(std::span<const std::string_view> parts) {
    auto* items = arena_.array<Value>(parts.size());
    for (std::size_t i = 0; i < parts.size(); ++i) items[i] = item(parts[i], "/" + std::to_string(i));
    return give(Value::array({items, parts.size()}));
  }
  void member(json::ObjectBuilder& object, std::string_view name, Value value) {
    if (!object.add(name, value).added) blame("is given twice", "/" + std::string(name));
  }
  Value property(std::string_view name, std::string_view raw) {
    return plain(raw, shape_.property(name), "/" + std::string(name));
  }
  /// `k,v,k,v`
  Found alternating(std::span<const std::string_view> parts) {
    if (parts.size() % 2) return wrong("must alternate names and values");
    json::ObjectBuilder object;
    for (std::size_t i = 0; i < parts.size(); i += 2) {
      const auto name = text(parts[i]);
      member(object, name, property(name, parts[i + 1]));
    }
    return give(object.finish(arena_));
  }
  /// `k=v,k=v`
  Found assignments(std::span<const std::string_view> parts) {
    json::ObjectBuilder object;
    for (auto part : parts) {
      const auto equals = part.find('=');
      if (equals == part.npos) return wrong("must consist of names and values joined by =");
      const auto name = text(part.substr(0, equals));
      member(object, name, property(name, part.substr(equals + 1)));
    }
    return give(object.finish(arena_));
  }
  bool list_shaped() const { return shape_.may(ValueShape::array) && !shape_.may(ValueShape::text); }
  bool object_shaped() const {
    return shape_.may(ValueShape::object) && !shape_.may(ValueShape::text) && !shape_.may(ValueShape::array);
  }

 private:
  const How& how_;
  const ValueShape& shape_;
  Arena& arena_;
};

ValueReader::Found ValueReader::from_path(std::string_view raw, Arena& arena) const {
  Reading reading{*this, arena};
  if (how_.json || how_.text) return reading.content(raw);
  char between = ',';
  if (how_.style == Style::label) {
    if (!raw.starts_with('.')) return reading.wrong("must begin with a dot");
    raw.remove_prefix(1);
    if (how_.explode) between = '.';
  } else if (how_.style == Style::matrix) {
    if (!raw.starts_with(';')) return reading.wrong("must begin with a semicolon");
    raw.remove_prefix(1);
    if (how_.explode && reading.object_shaped()) return reading.assignments(split(raw, ';'));
    auto parts = how_.explode ? split(raw, ';') : std::vector{raw};
    for (auto& part : parts) {  // each begins with the name
      if (!part.starts_with(how_.name) || (part.size() > how_.name.size() && part[how_.name.size()] != '='))
        return reading.wrong("must be written as ;name=value");
      part.remove_prefix(std::min(how_.name.size() + 1, part.size()));
    }
    if (how_.explode && reading.list_shaped()) return reading.list(parts);
    if (parts.size() != 1) return reading.wrong("is given twice");
    raw = parts[0];
  }
  if (reading.list_shaped()) return reading.list(split(raw, between));
  if (!reading.object_shaped()) return reading.primitive(raw);
  const auto parts = split(raw, between);
  return how_.explode ? reading.assignments(parts) : reading.alternating(parts);
}

ValueReader::Found ValueReader::from_header(const Headers& headers, Arena& arena) const {
  if (!headers.contains(how_.name)) return {};
  Reading reading{*this, arena};
  const auto raw = headers.joined(how_.name);
  if (how_.json || how_.text) return reading.content(trimmed(raw));
  if (!reading.list_shaped() && !reading.object_shaped()) return reading.primitive(trimmed(raw));
  std::vector<std::string_view> parts;
  if (!trimmed(raw).empty())
    for (auto part : split(raw, ',')) parts.push_back(trimmed(part));
  if (reading.list_shaped()) return reading.list(parts);
  return how_.explode ? reading.assignments(parts) : reading.alternating(parts);
}

namespace {

/// An object of `deepObject` under construction: each member is a value, a list, or another object.
class DeepObject {
 public:
  /// What is more than a value.
  struct Entry {
    std::unique_ptr<DeepObject> object{};
    std::vector<Value> list{};
  };
  /// The member, which may be new.
  json::ObjectBuilder::Placed member(std::string_view name) { return members_.add(name, {}); }
  void set(std::size_t place, Value value) { members_.at(place) = value; }
  /// What the member at `place` is made of; null where it is a value.
  Entry* entry(std::size_t place) {
    const auto found = entries_.find(place);
    return found == entries_.end() ? nullptr : &found->second;
  }
  Entry& make_entry(std::size_t place) { return entries_[place]; }
  Value finish(Arena& arena) {
    for (auto& [place, entry] : entries_) {
      if (entry.object) {
        members_.at(place) = entry.object->finish(arena);
      } else {
        auto* kept = arena.array<Value>(entry.list.size());
        std::ranges::copy(entry.list, kept);
        members_.at(place) = Value::array({kept, entry.list.size()});
      }
    }
    return members_.finish(arena);
  }

 private:
  json::ObjectBuilder members_;
  std::unordered_map<std::size_t, Entry> entries_;  // by the member's place
};

/// `filter[status][eq]` → `status`, `eq`; nothing when it is not of that form.
std::optional<std::vector<std::string_view>> brackets(std::string_view name, std::string_view base) {
  if (!name.starts_with(base) || name.size() == base.size() || name[base.size()] != '[') return std::nullopt;
  name.remove_prefix(base.size());
  std::vector<std::string_view> keys;
  while (!name.empty()) {
    const auto close = name.find(']');
    if (name[0] != '[' || close == name.npos || close == 1 || keys.size() == 8) return std::nullopt;
    keys.push_back(name.substr(1, close - 1));
    name.remove_prefix(close + 1);
  }
  return keys;
}

}  // namespace

ValueReader::Found ValueReader::from_pairs(std::span<RawPair> pairs, Arena& arena) const {
  const bool spread = spreads();
  const auto may_be_ours = [&](const RawPair& pair) { return pair.name.starts_with(how_.name); };
  if (!spread && std::ranges::none_of(pairs, may_be_ours)) return {};
  Reading reading{*this, arena};
  if (spread) {
    DeepObject object;
    bool any = false;
    for (auto& pair : pairs) {
      const auto name = pair.name;
      if (pair.used || !(shape_.declares(name) || shape_.open)) continue;
      pair.used = any = true;
      const auto* shape = shape_.property(name);
      const auto [place, fresh] = object.member(name);
      if (shape && shape->may(ValueShape::array) && !shape->may(ValueShape::text)) {  // repeated names, each an item
        object.make_entry(place).list.push_back(reading.plain(pair.value, shape->items.get(), "/" + std::string(name)));
      } else if (fresh) {
        object.set(place, reading.property(name, pair.value));
      } else {
        reading.blame("is given twice", "/" + std::string(name));
      }
    }
    return any ? reading.give(object.finish(arena)) : Found{};
  }

  std::vector<std::string_view> values;
  DeepObject deep;
  bool any_deep = false;
  for (auto& pair : pairs) {
    if (pair.used) continue;
    const auto name = pair.name;
    if (name == how_.name) {
      pair.used = true;
      if (values.size() < kMostItems) values.push_back(pair.value);
    } else if (how_.style == Style::deep_object) {
      const auto keys = brackets(name, how_.name);
      if (!keys) continue;
      pair.used = any_deep = true;
      DeepObject* at = &deep;
      const ValueShape* shape = &shape_;
      std::string pointer;
      for (std::size_t i = 0; i < keys->size(); ++i) {
        const auto key = (*keys)[i];
        json::append_token(pointer, key);
        shape = shape ? shape->property(key) : nullptr;
        const bool last = i + 1 == keys->size();
        const auto [place, fresh] = at->member(key);
        auto* const child = at->entry(place);
        const bool list = last && shape && shape->may(ValueShape::array) && !shape->may(ValueShape::text);
        if (list) {
          if (child && child->object) return reading.wrong("is both a value and an object", pointer);
          for (auto part : split(pair.value, ','))
            at->make_entry(place).list.push_back(reading.plain(part, shape->items.get(), pointer));
        } else if (last) {
          if (!fresh) return reading.wrong("is given twice", pointer);
          at->set(place, reading.plain(pair.value, shape, pointer));
        } else if (fresh) {
          at = (at->make_entry(place).object = std::make_unique<DeepObject>()).get();
        } else {
          if (!child || !child->object) return reading.wrong("is both a value and an object", pointer);
          at = child->object.get();
        }
      }
    }
  }
  if (any_deep)
    return values.empty() ? reading.give(deep.finish(arena)) : reading.wrong("is both a value and an object");
  if (values.empty()) return {};
  if (how_.json || how_.text) return values.size() > 1 ? reading.wrong("is given twice") : reading.content(values[0]);
  if (how_.allow_empty && values.size() == 1 && values[0].empty()) {
    reading.found.empty = true;
    return reading.give(Value::of(""));
  }
  char between = ',';
  std::string_view also;
  if (how_.style == Style::space_delimited) between = how_.plus ? '+' : ' ', also = "%20";
  if (how_.style == Style::pipe_delimited) between = '|', also = "%7C";
  if (reading.list_shaped()) {
    if (how_.explode) return reading.list(values);
    if (values.size() > 1) return reading.wrong("is given twice");
    return reading.list(values[0].empty() ? std::vector<std::string_view>{} : split(values[0], between, also));
  }
  if (values.size() > 1)
    return how_.explode && shape_.may(ValueShape::array) ? reading.list(values) : reading.wrong("is given twice");
  if (reading.object_shaped()) {
    if (how_.style == Style::deep_object) return reading.wrong("must be written as name[property]=value");
    return reading.alternating(split(values[0], between, also));
  }
  return reading.primitive(values[0]);
}

ValueReader::Found ValueReader::from_query(std::string_view query, Arena& arena) const {
  return Reading{*this, arena}.content(query);
}

}  // namespace plimsoll::contract
