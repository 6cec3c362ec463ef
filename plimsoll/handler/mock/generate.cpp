#include "plimsoll/handler/mock/generate.hpp"

#include "plimsoll/handler/mock/constraints.hpp"
#include "plimsoll/handler/mock/number.hpp"
#include "plimsoll/handler/mock/pattern.hpp"
#include "plimsoll/handler/mock/text.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>
#include <set>

namespace plimsoll::handler::mocking {
namespace {

using json::Type;
using json::Value;
class Generator {
 public:
  Generator(const contract::Contract& contract, Random& random, Arena& arena, bool examples)
      : random_(random), arena_(arena), reader_(contract, random, arena), examples_(examples) {}

  std::optional<Value> make(const Schemas& schemas, int depth) {
    if (depth > kDeepestSchema || ++made_ > kMost) return std::nullopt;
    Constraints constraints;
    for (const auto* schema : schemas) reader_.absorb(constraints, *schema);
    if (constraints.never) return std::nullopt;
    if (examples_ && constraints.example && depth > 0) return constraints.example->clone(arena_);
    if (constraints.has_values) {
      if (constraints.values.empty()) return std::nullopt;
      return constraints.values[random_.below(constraints.values.size())]->clone(arena_);
    }
    switch (choose(constraints, depth)) {
      case kNull: return Value{};
      case kBoolean: return Value::of(random_.one_in(2));
      case kInteger: return number(constraints, true, random_, arena_);
      case kNumber: return number(constraints, false, random_, arena_);
      case kString: return text(constraints);
      case kArray: return list(constraints, depth);
      case kObject: return object(constraints, depth);
      default: return std::nullopt;
    }
  }

 private:
  static constexpr int kShallow = 4;
  static constexpr std::size_t kMost = 20'000;

  unsigned choose(const Constraints& constraints, int depth) {
    auto types = constraints.types;
    if (types == kAll) types = constraints.hinted ? constraints.hinted : kString;
    if ((types & ~kNull) && (types & kNull) && depth < kShallow && !random_.one_in(6)) types &= ~kNull;
    if ((types & kNull) && depth >= kShallow) return kNull;
    if (types & kNumber) types &= random_.one_in(2) ? ~kInteger : ~kNumber;
    std::vector<unsigned> each;
    for (unsigned bit = 1; bit <= kObject; bit <<= 1)
      if (types & bit) each.push_back(bit);
    return each.empty() ? 0 : each[random_.below(each.size())];
  }

  std::optional<Value> text(const Constraints& constraints) {
    if (constraints.min_length > constraints.max_length || constraints.min_length > 1'000'000) return std::nullopt;
    const auto fits = [&](const std::string& made) {
      const auto size = json::utf8_count(made);
      return size >= constraints.min_length && size <= constraints.max_length;
    };
    if (!constraints.patterns.empty()) return Value::of(arena_.keep(patterned(constraints, fits)));
    if (!constraints.format.empty())
      if (const auto made = text_of_format(constraints.format, random_, constraints.min_length, constraints.max_length);
          made && fits(*made))
        return Value::of(arena_.keep(*made));
    return Value::of(arena_.keep(words(random_, constraints.min_length, constraints.max_length)));
  }

  /// Tries repetitions of several lengths until the text is of a length that is allowed.
  template <class Fits>
  std::string patterned(const Constraints& constraints, Fits fits) {
    const auto pattern = constraints.patterns[random_.below(constraints.patterns.size())];
    const auto room =
        std::min<std::size_t>(constraints.max_length, 4096) - std::min<std::size_t>(constraints.min_length, 4096);
    std::string last;
    for (int tries = 0; tries < 24; ++tries) {
      constexpr std::size_t kExtra[] = {4, 0, 1, 12, 40, 2, 100, 8};
      const auto extra =
          tries < 8 ? kExtra[tries] : std::min<std::size_t>(constraints.min_length, 4096) + random_.below(room + 8);
      const auto made = text_for(pattern, random_, extra);
      if (!made) break;
      last = *made;
      // A pattern that leaves its end open takes the rest of a text of the format.
      if (const auto whole = text_of_format(constraints.format, random_); whole && !pattern.ends_with('$'))
        if (whole->size() > last.size()) last += whole->substr(last.size());
      if (fits(last)) return last;
    }
    while (json::utf8_count(last) < constraints.min_length) last += 'a';
    return last;
  }

  std::optional<Value> list(const Constraints& constraints, int depth) {
    std::size_t prefix = 0;
    for (auto& each : constraints.prefixes) prefix = std::max(prefix, each.size());
    auto least = constraints.min_items, most = constraints.max_items;
    if (!constraints.contains.empty()) least = std::max(least, constraints.min_contains);
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
      for (auto& each : constraints.prefixes)
        if (at < each.size()) schemas.push_back(&each[at]), prefixed = true;
      if (!prefixed) schemas.insert(schemas.end(), constraints.items.begin(), constraints.items.end());
      if (at < constraints.min_contains)
        schemas.insert(schemas.end(), constraints.contains.begin(), constraints.contains.end());
      const auto item = make(schemas, depth + 1);
      const bool again = item && constraints.unique &&
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

  std::optional<Value> object(Constraints& constraints, int depth) {
    Value made = Value::object({});
    const bool all = examples_ && depth < kShallow;  // the whole picture first; over the seeds also less
    std::set<std::string_view> wanted(constraints.required.begin(), constraints.required.end());
    for (auto& [name, schemas] : constraints.properties)
      if (!constraints.forbidden.contains(name) && depth < kShallow && (all || !random_.one_in(3))) wanted.insert(name);
    for (std::size_t before = 0; before != wanted.size();) {  // until nothing more follows from what is there
      before = wanted.size();
      for (const auto* dependent : constraints.dependents)
        for (auto& [name, names, at] : dependent->object())
          if (wanted.contains(name))
            for (auto& other : names.array())
              if (other.is(Type::string)) wanted.insert(other.string());
      for (const auto* dependent : std::vector(constraints.dependent_schemas))
        for (auto& [name, schema, at] : dependent->object())
          if (wanted.contains(name)) reader_.absorb(constraints, schema);
      wanted.insert(constraints.required.begin(), constraints.required.end());
    }
    // In the order of the schema; then what is only required.
    for (auto& [name, schemas] : constraints.properties) {
      const bool required = constraints.required.contains(name);
      if (!wanted.contains(name) || (!required && made.object().size() >= constraints.max_members)) continue;
      if (!add(made, constraints, name, schemas, depth) && required) return std::nullopt;
    }
    for (const auto name : wanted)
      if (!made.find(name) && constraints.required.contains(name) && !add(made, constraints, name, {}, depth))
        return std::nullopt;
    // Names of our own, where so many are asked for, or the schema speaks of them.
    const bool open = !constraints.closed || !constraints.pattern_properties.empty();
    auto least = constraints.min_members;
    if (open && depth < kShallow && (!constraints.additional.empty() || !constraints.pattern_properties.empty()))
      least = std::max<std::size_t>(least, made.object().size() + 1 + random_.below(2));
    least = std::min(least, constraints.max_members);
    for (int tries = 0; open && made.object().size() < least && tries < 60; ++tries) {
      const auto name = new_name(constraints);
      if (name.empty() || made.find(name)) continue;
      add(made, constraints, name, {}, depth);
    }
    if (made.object().size() < constraints.min_members) return std::nullopt;
    return made;
  }

  std::string_view new_name(const Constraints& constraints) {
    if (!constraints.names.empty()) {
      Schemas names = constraints.names;
      static const Value kText = [] {
        static json::Member member{"type", Value::of("string")};
        return Value::object({&member, 1});
      }();
      names.push_back(&kText);
      const auto made = make(names, kShallow);
      return made && made->is(Type::string) ? made->string() : std::string_view{};
    }
    if (!constraints.pattern_properties.empty() && (constraints.closed || random_.one_in(2))) {
      const auto pattern = constraints.pattern_properties[random_.below(constraints.pattern_properties.size())].first;
      auto made = text_for(pattern, random_, 3);
      if (made && !pattern.ends_with('$')) *made += words(random_, 3, 8);  // its end is open
      return made ? arena_.keep(*made) : std::string_view{};
    }
    if (constraints.closed) return {};
    return arena_.keep(words(random_, 3, 8));
  }

  bool add(Value& object, const Constraints& constraints, std::string_view name, Schemas schemas, int depth) {
    const bool declared = !schemas.empty();
    bool patterned = false;
    for (auto& [pattern, schema] : constraints.pattern_properties)
      if (literally_matches(pattern, name)) schemas.push_back(schema), patterned = true;
    if (!declared && !patterned) schemas = constraints.additional;
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

  Random& random_;
  Arena& arena_;
  ConstraintReader reader_;
  bool examples_;
  std::size_t made_ = 0;
};

}  // namespace

std::optional<Value> generate(const contract::Contract& contract, const Value& schema,
                              const schema::Validator& validator, const GenerateOptions& wish, Arena& arena) {
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
