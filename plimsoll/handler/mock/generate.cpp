#include "plimsoll/handler/mock/generate.hpp"

#include "plimsoll/handler/mock/pattern.hpp"
#include "plimsoll/handler/mock/text.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace plimsoll::handler::mocking {
namespace {

using json::Type;
using json::Value;
using Schemas = std::vector<const Value*>;

enum : unsigned {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kNumber = 8,
  kString = 16,
  kArray = 32,
  kObject = 64,
  kAll = 127
};

unsigned bit_of(std::string_view type) {
  constexpr std::string_view names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
  for (unsigned i = 0; i < 7; ++i)
    if (names[i] == type) return i == 3 ? kNumber | kInteger : 1u << i;
  return 0;
}

/// What several schemas that must all hold ask of one value, taken together.
struct Asked {
  unsigned types = kAll;
  bool never = false;
  std::vector<const Value*> values;  ///< of `enum` or `const`: the candidates
  bool has_values = false;
  const Value* example = nullptr;
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  bool above = false, below = false;  ///< the bound itself is not allowed
  Schemas multiples;
  std::size_t min_length = 0, max_length = SIZE_MAX, min_items = 0, max_items = SIZE_MAX, min_members = 0,
              max_members = SIZE_MAX;
  std::vector<std::string_view> patterns;
  std::string_view format;
  std::vector<std::span<const Value>> prefixes;
  Schemas items, contains, names, additional, unevaluated;
  std::size_t min_contains = 1;
  bool unique = false, closed = false;
  std::vector<std::pair<std::string_view, Schemas>> properties;
  std::vector<std::pair<std::string_view, const Value*>> pattern_properties;
  std::set<std::string_view> required;
  std::vector<const Value*> dependents;  ///< objects of `dependentRequired`
  std::vector<const Value*> dependent_schemas;
  unsigned hinted = 0;  ///< types that keywords speak of, where no `type` is given

  Schemas& property(std::string_view name) {
    for (auto& [known, schemas] : properties)
      if (known == name) return schemas;
    return properties.emplace_back(name, Schemas{}).second;
  }
};

class Generator {
 public:
  Generator(const contract::Contract& contract, Random& random, Arena& arena, bool examples)
      : contract_(contract), random_(random), arena_(arena), examples_(examples) {}

  std::optional<Value> make(const Schemas& schemas, int depth) {
    if (depth > kDeepest || ++made_ > kMost) return std::nullopt;
    Asked asked;
    for (const auto* schema : schemas) absorb(asked, *schema, 0);
    if (asked.never) return std::nullopt;
    if (examples_ && asked.example && depth > 0) return asked.example->clone(arena_);
    if (asked.has_values) {
      if (asked.values.empty()) return std::nullopt;
      return asked.values[random_.below(asked.values.size())]->clone(arena_);
    }
    switch (choose(asked, depth)) {
      case kNull: return Value{};
      case kBoolean: return Value::of(random_.one_in(2));
      case kInteger: return number(asked, true);
      case kNumber: return number(asked, false);
      case kString: return text(asked);
      case kArray: return list(asked, depth);
      case kObject: return object(asked, depth);
      default: return std::nullopt;
    }
  }

 private:
  static constexpr int kDeepest = 24, kShallow = 4;
  static constexpr std::size_t kMost = 20'000;

  unsigned choose(const Asked& asked, int depth) {
    auto types = asked.types;
    if (types == kAll) types = asked.hinted ? asked.hinted : kString;
    if ((types & ~kNull) && (types & kNull) && depth < kShallow && !random_.one_in(6)) types &= ~kNull;
    if ((types & kNull) && depth >= kShallow) return kNull;
    if (types & kNumber) types &= random_.one_in(2) ? ~kInteger : ~kNumber;
    std::vector<unsigned> each;
    for (unsigned bit = 1; bit <= kObject; bit <<= 1)
      if (types & bit) each.push_back(bit);
    return each.empty() ? 0 : each[random_.below(each.size())];
  }

  static void at_least(std::size_t& bound, const Value& value) {
    if (const auto n = value.integer(); n && *n >= 0) bound = std::max(bound, static_cast<std::size_t>(*n));
  }
  static void at_most(std::size_t& bound, const Value& value) {
    if (const auto n = value.integer(); n && *n >= 0) bound = std::min(bound, static_cast<std::size_t>(*n));
  }

  void absorb(Asked& asked, const Value& given, int depth) {
    if (depth > kDeepest) {
      asked.never = true;
      return;
    }
    if (given.is(Type::boolean)) {
      asked.never |= !given.boolean();
      return;
    }
    if (!given.is(Type::object)) return;
    if (const auto* ref = given.find("$ref")) {
      const auto& target = contract_.resolve(given);
      if (&target == &given)
        asked.never = true;
      else
        absorb(asked, target, depth + 1);
      (void)ref;
    }
    bool nullable = false;
    for (auto& [key, value, at] : given.object()) {
      if (key == "nullable") nullable = value.is(Type::boolean) && value.boolean();
    }
    for (auto& [key, value, at] : given.object()) keyword(asked, given, key, value, nullable, depth);
  }

  void keyword(Asked& asked, const Value& schema, std::string_view key, const Value& value, bool nullable, int depth) {
    if (key == "type") {
      unsigned types = nullable ? kNull : 0;
      if (value.is(Type::string)) types |= bit_of(value.string());
      for (auto& name : value.array())
        if (name.is(Type::string)) types |= bit_of(name.string());
      asked.types &= types;
    } else if (key == "enum" || key == "const") {
      std::vector<const Value*> candidates;
      if (key == "const")
        candidates.push_back(&value);
      else
        for (auto& item : value.array()) candidates.push_back(&item);
      if (asked.has_values)
        std::erase_if(candidates, [&](const Value* c) {
          return std::ranges::none_of(asked.values, [&](const Value* k) { return json::equal(*c, *k); });
        });
      asked.values = std::move(candidates);
      asked.has_values = true;
    } else if (key == "example") {
      if (!asked.example) asked.example = &value;
    } else if (key == "examples") {
      if (!asked.example && !value.array().empty()) asked.example = &value.array()[0];
    } else if (key == "default") {
      if (!asked.example) asked.example = &value;
    } else if (key == "allOf") {
      for (auto& part : value.array()) absorb(asked, part, depth + 1);
    } else if (key == "anyOf" || key == "oneOf") {
      if (!value.array().empty()) branch(asked, schema, value.array()[random_.below(value.array().size())], depth);
    } else if (key == "if") {
      const auto* then = schema.find("then");
      const auto* otherwise = schema.find("else");
      if (random_.one_in(2)) {
        absorb(asked, value, depth + 1);
        if (then) absorb(asked, *then, depth + 1);
      } else if (otherwise) {
        absorb(asked, *otherwise, depth + 1);
      }
    } else if (!numeric(asked, schema, key, value) && !textual(asked, key, value) && !listed(asked, key, value)) {
      member(asked, key, value);
    }
  }

  /// A branch of a choice; a discriminator's property is given the name that chooses it.
  void branch(Asked& asked, const Value& schema, const Value& chosen, int depth) {
    absorb(asked, chosen, depth + 1);
    const auto* property = schema.at("discriminator", "propertyName");
    const auto* ref = chosen.find("$ref");
    if (!property || !ref || !property->is(Type::string) || !ref->is(Type::string)) return;
    auto name = ref->string().substr(ref->string().rfind('/') + 1);
    if (const auto* mapping = schema.at("discriminator", "mapping"))
      for (auto& [word, target, at] : mapping->object())
        if (target.is(Type::string) && (target.string() == ref->string() || target.string() == name)) {
          name = word;
          break;
        }
    auto& value = arena_.make<Value>(Value::object({}));
    auto& candidates = arena_.make<Value>(Value::array({}));
    candidates.push(arena_, Value::of(name));
    value.set(arena_, "enum", candidates);
    asked.property(property->string()).push_back(&value);
    asked.required.insert(property->string());
  }

  bool numeric(Asked& asked, const Value& schema, std::string_view key, const Value& value) {
    const auto low = [&](double bound, bool open) {
      if (bound > asked.least || (bound == asked.least && open)) asked.least = bound, asked.above = open;
    };
    const auto high = [&](double bound, bool open) {
      if (bound < asked.most || (bound == asked.most && open)) asked.most = bound, asked.below = open;
    };
    const auto open = [&](std::string_view name) {
      const auto* flag = schema.find(name);
      return flag && flag->is(Type::boolean) && flag->boolean();  // OpenAPI 3.0
    };
    if (key == "minimum" && value.is(Type::number))
      low(value.number(), open("exclusiveMinimum"));
    else if (key == "maximum" && value.is(Type::number))
      high(value.number(), open("exclusiveMaximum"));
    else if (key == "exclusiveMinimum" && value.is(Type::number))
      low(value.number(), true);
    else if (key == "exclusiveMaximum" && value.is(Type::number))
      high(value.number(), true);
    else if (key == "multipleOf" && value.is(Type::number))
      asked.multiples.push_back(&value);
    else
      return false;
    asked.hinted |= kInteger | kNumber;
    return true;
  }
  static bool textual(Asked& asked, std::string_view key, const Value& value) {
    if (key == "minLength")
      at_least(asked.min_length, value);
    else if (key == "maxLength")
      at_most(asked.max_length, value);
    else if (key == "pattern" && value.is(Type::string))
      asked.patterns.push_back(value.string());
    else if (key == "format" && value.is(Type::string))
      asked.format = value.string();
    else
      return false;
    asked.hinted |= kString;
    return true;
  }
  static bool listed(Asked& asked, std::string_view key, const Value& value) {
    if (key == "minItems")
      at_least(asked.min_items, value);
    else if (key == "maxItems")
      at_most(asked.max_items, value);
    else if (key == "items" && !value.is(Type::array))
      asked.items.push_back(&value);
    else if (key == "prefixItems")
      asked.prefixes.push_back(value.array());
    else if (key == "contains")
      asked.contains.push_back(&value);
    else if (key == "minContains")
      asked.min_contains = static_cast<std::size_t>(value.integer().value_or(1));
    else if (key == "uniqueItems")
      asked.unique |= value.is(Type::boolean) && value.boolean();
    else if (key == "unevaluatedItems")
      asked.items.push_back(&value);
    else
      return false;
    asked.hinted |= kArray;
    return true;
  }
  void member(Asked& asked, std::string_view key, const Value& value) {
    if (key == "properties") {
      for (auto& [name, schema, at] : value.object()) asked.property(name).push_back(&schema);
    } else if (key == "required") {
      for (auto& name : value.array())
        if (name.is(Type::string)) asked.required.insert(name.string());
    } else if (key == "additionalProperties" || key == "unevaluatedProperties") {
      if (value.is(Type::boolean))
        asked.closed |= !value.boolean();
      else
        asked.additional.push_back(&value);
    } else if (key == "patternProperties") {
      for (auto& [name, schema, at] : value.object()) asked.pattern_properties.emplace_back(name, &schema);
    } else if (key == "propertyNames") {
      asked.names.push_back(&value);
    } else if (key == "minProperties") {
      at_least(asked.min_members, value);
    } else if (key == "maxProperties") {
      at_most(asked.max_members, value);
    } else if (key == "dependentRequired") {
      asked.dependents.push_back(&value);
    } else if (key == "dependentSchemas") {
      asked.dependent_schemas.push_back(&value);
    } else {
      return;
    }
    asked.hinted |= kObject;
  }

  std::optional<Value> number(const Asked& asked, bool whole) {
    double least = asked.least, most = asked.most;
    if (!std::isfinite(least)) least = std::isfinite(most) ? std::min(most - 1000, 0.0) : 1;
    if (!std::isfinite(most)) most = std::max(least + 1000, 1000.0);
    if (!asked.multiples.empty()) return multiple(asked, least, most, whole);
    if (whole) {
      auto from = std::ceil(least), to = std::floor(most);
      if (asked.above && from == asked.least) ++from;
      if (asked.below && to == asked.most) --to;
      if (from > to || std::abs(from) > 9e18 || std::abs(to) > 9e18) return std::nullopt;
      return Value::of(random_.between(static_cast<std::int64_t>(from), static_cast<std::int64_t>(to)), arena_);
    }
    for (const double scale : {100.0, 1e6, 1e12}) {  // short decimals, where the bounds leave room for them
      auto from = std::ceil(least * scale), to = std::floor(most * scale);
      if (asked.above && from == asked.least * scale) ++from;
      if (asked.below && to == asked.most * scale) --to;
      if (from > to || std::abs(from) > 9e15 || std::abs(to) > 9e15) continue;
      const auto pick = random_.between(static_cast<std::int64_t>(from), static_cast<std::int64_t>(to));
      return Value::of(static_cast<double>(pick) / scale, arena_);
    }
    return Value::of(asked.above ? std::nextafter(least, most) : least, arena_);
  }

  /// k times the step, written exactly.
  std::optional<Value> multiple(const Asked& asked, double least, double most, bool whole) {
    const auto decimals_of = [](std::string_view text) {
      const auto dot = text.find('.');
      return dot == text.npos ? 0 : static_cast<int>(text.size() - dot - 1);
    };
    int places = 0;
    for (const auto* value : asked.multiples) {
      const auto text = value->number_text();
      if (text.find_first_of("eE") != text.npos) return Value::of(0, arena_);  // zero is a multiple of everything
      places = std::max(places, decimals_of(text));
    }
    if (places > 12) return Value::of(0, arena_);
    std::int64_t step = 1;
    for (const auto* value : asked.multiples) {
      const auto text = value->number_text();
      std::int64_t digits = 0;
      for (const char c : text)
        if (c >= '0' && c <= '9' && digits < 1'000'000'000'000) digits = digits * 10 + (c - '0');
      for (int i = decimals_of(text); i < places && digits < 1'000'000'000'000; ++i) digits *= 10;
      if (digits == 0 || step > 1'000'000) return std::nullopt;
      step = std::lcm(step, digits);
    }
    std::int64_t scale = 1;
    for (int i = 0; i < places; ++i) scale *= 10;
    if (whole) step = std::lcm(step, scale);
    const double size = static_cast<double>(step) / static_cast<double>(scale);
    auto from = std::ceil(least / size), to = std::floor(most / size);
    if (asked.above && from * size <= asked.least) ++from;
    if (asked.below && to * size >= asked.most) --to;
    if (from > to || std::abs(from) > 1e12 || std::abs(to) > 1e12) return std::nullopt;
    const auto count = random_.between(static_cast<std::int64_t>(from), static_cast<std::int64_t>(to)) * step;
    if (scale == 1) return Value::of(count, arena_);
    auto digits = std::to_string(count < 0 ? -count : count);
    if (digits.size() <= static_cast<std::size_t>(places))
      digits.insert(0, static_cast<std::size_t>(places) + 1 - digits.size(), '0');
    digits.insert(digits.size() - static_cast<std::size_t>(places), ".");
    while (digits.ends_with('0')) digits.pop_back();
    if (digits.ends_with('.')) digits.pop_back();
    return Value::number(arena_.keep((count < 0 ? "-" : "") + digits));
  }

  std::optional<Value> text(const Asked& asked) {
    if (asked.min_length > asked.max_length || asked.min_length > 1'000'000) return std::nullopt;
    const auto fits = [&](const std::string& made) {
      const auto size = json::utf8_count(made);
      return size >= asked.min_length && size <= asked.max_length;
    };
    if (!asked.patterns.empty()) {
      std::string last;
      for (const std::size_t extra : {4, 0, 1, 12, 40, 2, 100, 8}) {
        const auto made = text_for(asked.patterns[random_.below(asked.patterns.size())], random_, extra);
        if (!made) break;
        last = *made;
        if (fits(last)) break;
      }
      while (json::utf8_count(last) < asked.min_length) last += 'a';
      return Value::of(arena_.keep(last));
    }
    if (!asked.format.empty())
      if (const auto made = text_of_format(asked.format, random_); made && fits(*made))
        return Value::of(arena_.keep(*made));
    return Value::of(arena_.keep(words(random_, asked.min_length, asked.max_length)));
  }

  std::optional<Value> list(const Asked& asked, int depth) {
    std::size_t prefix = 0;
    for (auto& each : asked.prefixes) prefix = std::max(prefix, each.size());
    auto least = asked.min_items, most = asked.max_items;
    if (!asked.contains.empty()) least = std::max(least, asked.min_contains);
    if (least > most || least > 10'000) return std::nullopt;
    auto wished =
        depth >= kShallow ? least : std::max<std::size_t>(least, std::max<std::size_t>(prefix, 1 + random_.below(3)));
    if (depth < kShallow && least == 0 && random_.one_in(12)) wished = 0;
    wished = std::min(wished, most);
    Value made = Value::array({});
    std::size_t tries = 0;
    while (made.array().size() < wished) {
      const auto at = made.array().size();
      Schemas schemas;
      bool prefixed = false;
      for (auto& each : asked.prefixes)
        if (at < each.size()) schemas.push_back(&each[at]), prefixed = true;
      if (!prefixed) schemas.insert(schemas.end(), asked.items.begin(), asked.items.end());
      if (at < asked.min_contains) schemas.insert(schemas.end(), asked.contains.begin(), asked.contains.end());
      const auto item = make(schemas, depth + 1);
      const bool again = item && asked.unique &&
                         std::ranges::any_of(made.array(), [&](auto& known) { return json::equal(known, *item); });
      if (!item || again) {
        if (at >= least || ++tries > 50) break;
        continue;
      }
      made.push(arena_, *item);
    }
    if (made.array().size() < least) return std::nullopt;
    return made;
  }

  std::optional<Value> object(Asked& asked, int depth) {
    Value made = Value::object({});
    const bool all = examples_ && depth < kShallow;  // the whole picture first; over the seeds also less
    std::set<std::string_view> wanted(asked.required.begin(), asked.required.end());
    for (auto& [name, schemas] : asked.properties)
      if (depth < kShallow && (all || !random_.one_in(3))) wanted.insert(name);
    for (std::size_t before = 0; before != wanted.size();) {  // until nothing more follows from what is there
      before = wanted.size();
      for (const auto* dependent : asked.dependents)
        for (auto& [name, names, at] : dependent->object())
          if (wanted.contains(name))
            for (auto& other : names.array())
              if (other.is(Type::string)) wanted.insert(other.string());
      for (const auto* dependent : std::vector(asked.dependent_schemas))
        for (auto& [name, schema, at] : dependent->object())
          if (wanted.contains(name)) absorb(asked, schema, 1);
      wanted.insert(asked.required.begin(), asked.required.end());
    }
    // In the order of the schema; then what is only required.
    for (auto& [name, schemas] : asked.properties) {
      const bool required = asked.required.contains(name);
      if (!wanted.contains(name) || (!required && made.object().size() >= asked.max_members)) continue;
      if (!add(made, asked, name, schemas, depth) && required) return std::nullopt;
    }
    for (const auto name : wanted)
      if (!made.find(name) && asked.required.contains(name) && !add(made, asked, name, {}, depth)) return std::nullopt;
    // Names of our own, where so many are asked for, or the schema speaks of them.
    const bool open = !asked.closed || !asked.pattern_properties.empty();
    auto least = asked.min_members;
    if (open && depth < kShallow && (!asked.additional.empty() || !asked.pattern_properties.empty()))
      least = std::max<std::size_t>(least, made.object().size() + 1 + random_.below(2));
    least = std::min(least, asked.max_members);
    for (int tries = 0; open && made.object().size() < least && tries < 60; ++tries) {
      const auto name = new_name(asked);
      if (name.empty() || made.find(name)) continue;
      add(made, asked, name, {}, depth);
    }
    if (made.object().size() < asked.min_members) return std::nullopt;
    return made;
  }

  std::string_view new_name(const Asked& asked) {
    if (!asked.names.empty()) {
      Schemas names = asked.names;
      static const Value kText = [] {
        static json::Member member{"type", Value::of("string")};
        return Value::object({&member, 1});
      }();
      names.push_back(&kText);
      const auto made = make(names, kShallow);
      return made && made->is(Type::string) ? made->string() : std::string_view{};
    }
    if (!asked.pattern_properties.empty() && (asked.closed || random_.one_in(2))) {
      const auto pattern = asked.pattern_properties[random_.below(asked.pattern_properties.size())].first;
      const auto made = text_for(pattern, random_, 3);
      return made ? arena_.keep(*made) : std::string_view{};
    }
    if (asked.closed) return {};
    return arena_.keep(words(random_, 3, 8));
  }

  bool add(Value& object, const Asked& asked, std::string_view name, Schemas schemas, int depth) {
    const bool declared = !schemas.empty();
    bool patterned = false;
    for (auto& [pattern, schema] : asked.pattern_properties)
      if (literally_matches(pattern, name)) schemas.push_back(schema), patterned = true;
    if (!declared && !patterned) schemas = asked.additional;
    const auto value = make(schemas, depth + 1);
    if (!value) return false;
    object.set(arena_, name, *value);
    return true;
  }

  /// Enough of matching for names that were made for the pattern: exact judgement is the validator's.
  static bool literally_matches(std::string_view pattern, std::string_view name) {
    if (pattern.empty() || pattern == ".*" || pattern == "^.*$" || pattern == ".+" || pattern == "^.+$") return true;
    std::string_view plain = pattern;
    const bool from = plain.starts_with('^');
    if (from) plain.remove_prefix(1);
    const auto end = std::min(plain.find_first_of("[]{}().*+?|\\$"), plain.size());
    const auto start = plain.substr(0, end);
    if (start.empty()) return true;
    return from ? name.starts_with(start) : name.contains(start);
  }

  const contract::Contract& contract_;
  Random& random_;
  Arena& arena_;
  bool examples_;
  std::size_t made_ = 0;
};

}  // namespace

std::optional<Value> generate(const contract::Contract& contract, const Value& schema,
                              const schema::Validator& validator, const Wish& wish, Arena& arena) {
  for (std::size_t attempt = 0; attempt < wish.attempts; ++attempt) {
    Random random{wish.seed + attempt * 0x632BE59BD9B4E019};
    const bool examples = wish.examples && attempt < 2;
    if (examples) {  // a whole example of the schema itself is the best of all
      const auto& target = contract.resolve(schema);
      const auto* given = target.find("example");
      if (!given)
        if (const auto* list = target.find("examples"); list && !list->array().empty()) given = &list->array()[0];
      if (given && validator.valid(*given)) return given->clone(arena);
    }
    Generator generator{contract, random, arena, examples};
    const auto made = generator.make({&schema}, 0);
    if (made && validator.valid(*made)) return made;
  }
  return std::nullopt;
}

}  // namespace plimsoll::handler::mocking
