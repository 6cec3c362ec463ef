#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/result.hpp"
#include "plimsoll/json/value.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace plimsoll::config {

/// A configuration that cannot be used. `detail` is "line 7, column 3: …".
inline constexpr Problem kConfiguration{"configuration", 500, "The configuration is wrong",
                                        "Correct the value; `plimsoll explain NAME` describes a key or an option."};

/// How a type of option is written: `Form<T>::schema`, `read`, `show`. Specialised once per type of the language
/// (duration, size, rate, ratio, text, list, choice), not per option.
template <class T>
struct Form;

/// The least and the most an option may be, both allowed, in the unit it is kept in: the number itself, nanoseconds,
/// bytes.
struct Bounds {
  std::int64_t least, most;
};

/// One option of a struct, for the check of unknown keys and of bounds, the JSON Schema, the documentation and `config
/// --explain`.
struct Field {
  std::string_view name, sentence, schema;
  Result<> (*read)(const json::Value&, void* options);
  std::string (*show)(const void* options);
  std::optional<Bounds> bounds{};
  std::int64_t (*amount)(const void* options) = nullptr;  ///< what the bounds are about
  std::string (*show_amount)(std::int64_t) = nullptr;     ///< as it is written in a file
  // Of an option that its owner reads itself (Raw): what is in it, for the schema, the reference and the tests.
  std::span<const Field> parts{};       ///< options of the object it is, or of each of its entries
  bool named = false;                   ///< `parts` are those of each entry, whose names are the user's own
  const void* (*standard)() = nullptr;  ///< defaults of `parts`
  std::string_view example{};           ///< a value, where the default shows nothing
};

template <class Owner, class T>
Owner owner_of(T Owner::*);
template <class Owner, class T>
T type_of(T Owner::*);

/// `field<&Options::max_age>("max-age", "How long …")`: name and sentence here, default in the struct, the rest from
/// the type.
template <auto Member>
constexpr Field any_field(std::string_view name, std::string_view sentence) {
  using Owner = decltype(owner_of(Member));
  using T = decltype(type_of(Member));
  return {name, sentence, Form<T>::schema,
          [](const json::Value& from, void* options) -> Result<> {
            auto value = Form<T>::read(from);
            if (!value) return std::unexpected(value.error());
            static_cast<Owner*>(options)->*Member = std::move(*value);
            return {};
          },
          [](const void* options) { return Form<T>::show(static_cast<const Owner*>(options)->*Member); }};
}

/// How a type of option that is an amount is bounded: `Amount<T>::usual`, `of`, `show`. Without one it is no amount.
template <class T>
struct Amount;

/// An option that is an amount has bounds: those given, or those that are usual for its type.
template <auto Member>
constexpr Field field(std::string_view name, std::string_view sentence, Bounds bounds) {
  using Owner = decltype(owner_of(Member));
  using T = decltype(type_of(Member));
  auto made = any_field<Member>(name, sentence);
  made.bounds = bounds;
  made.amount = [](const void* options) { return Amount<T>::of(static_cast<const Owner*>(options)->*Member); };
  made.show_amount = [](std::int64_t amount) { return Amount<T>::show(amount); };
  return made;
}
template <auto Member>
constexpr Field field(std::string_view name, std::string_view sentence) {
  using T = decltype(type_of(Member));
  static_assert(!std::is_same_v<T, std::int64_t>, "a number has bounds: field<&X::y>(name, sentence, {least, most})");
  if constexpr (requires { Amount<T>::usual; })
    return field<Member>(name, sentence, Amount<T>::usual);
  else
    return any_field<Member>(name, sentence);
}

template <class T>
const void* defaults_of() {
  static const T made{};
  return &made;
}
/// An option that is an object with options of its own, of the struct `T`; `schema` where it has a short form too.
template <class T>
constexpr Field object_of(Field made, std::span<const Field> parts, std::string_view schema = {}) {
  made.parts = parts, made.schema = schema, made.standard = defaults_of<T>;
  return made;
}
/// An object whose keys are names of the user's own; each of its values is such an object.
template <class T>
constexpr Field map_of(Field made, std::span<const Field> parts, std::string_view schema = {}) {
  made = object_of<T>(made, parts, schema);
  made.named = true;
  return made;
}
constexpr Field shown(Field made, std::string_view example) {
  made.example = example;
  return made;
}
/// An option that its owner reads, of that JSON Schema.
constexpr Field shaped(Field made, std::string_view schema, std::string_view example = {}) {
  made.schema = schema, made.example = example;
  return made;
}

/// Where a key of `x-plimsoll` has an effect.
enum class Scopes : std::uint8_t { any, document, operation };
/// The methods of operations that may say it themselves; what an outer scope says holds for those only.
enum class Methods : std::uint8_t { any, safe, unsafe };

/// A key of the contract or the deployment, with its options: all that the elder rooms (`contract`, `config`) need to
/// check it, complete it and document it, without knowing whose it is.
struct Key {
  std::string_view name, sentence;
  std::span<const Field> fields;
  const void* (*defaults)() = nullptr;
  std::string_view short_form{};  ///< schema of the short form, as members of a JSON object; empty: none
  std::span<const Field> (*fields_elsewhere)() = nullptr;  ///< instead of `fields`, where another file defines them
  std::string_view example{};                              ///< a value, as it is written in a file
  Scopes scopes = Scopes::any;
  Methods methods = Methods::any;
  // Of a key that is an object whose members, beside `fields`, have names of the user's own.
  std::span<const Field> (*entries)() = nullptr;  ///< options of each such member
  const void* (*entry_defaults)() = nullptr;
  std::string_view entry_schema{};  ///< the schema of each, where it is no object

  std::span<const Field> options() const { return fields_elsewhere ? fields_elsewhere() : fields; }
};

/// Reads an object into an options struct; an unknown key is an error with line and suggestion. `ignored` names are
/// skipped.
Result<> read(const json::Value& from, std::span<const Field> fields, void* options,
              std::span<const std::string_view> ignored = {});

/// A section of the deployment, declared by the part that reads it (`shed`, `jobs`). Without fields its members have
/// names of the user's own: its owner reads it.
struct Section {
  Key key;
  Result<> (*check)(const json::Value&) = nullptr;
};
template <class T, const auto& Fields>
constexpr Section section(std::string_view name, std::string_view sentence, std::string_view example = {}) {
  Section made{.key = {.name = name, .sentence = sentence, .fields = Fields, .example = example}};
  made.key.defaults = defaults_of<T>;
  made.check = [](const json::Value& from) -> Result<> {
    T made{};
    return read(from, Fields, &made);
  };
  return made;
}

/// The JSON Schema of such an object.
std::string schema(std::span<const Field> fields, const void* defaults);
/// Slips of the pen between two names: letters missing, added, wrong or in the wrong order. Capitals are none, and `_`
/// is `-`.
std::size_t distance(std::string_view, std::string_view);
/// The candidate nearest to `word` by that distance, or empty when none is near.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);
/// `line 7, column 3: <what>` as an error, with what to do where it is known, behind a mark that `located` takes
/// apart again.
std::unexpected<Error> wrong(const json::Value& at, std::string_view what, std::string_view remedy = {});
/// That sentence, for an error of another problem; unchanged where the value has no position.
std::string placed(const json::Value& at, std::string_view what);
/// The member of an object that is at fault, or the object where it is not there: for `wrong` and `placed`.
const json::Value& member_or(const json::Value& object, std::string_view name);
/// Such a sentence, taken apart again by who names the file; the position is empty where the sentence has none.
struct Located {
  json::Position at;
  std::string what;
  std::uint16_t source = 0;  ///< of the value: which file it stood in
  std::string remedy{};      ///< empty where the sentence says none
};
Located located(std::string_view sentence);
/// The sentence with `before` set before it, behind its position.
std::string preceded(std::string_view before, std::string_view sentence);
/// The sentence with `after` set behind it, before its remedy.
std::string followed(std::string_view sentence, std::string_view after);
/// What json::Value::source is of values of the deployment; those of the contract have the index of their file.
inline constexpr std::uint16_t kDeploymentSource = 0xFFFF;

/// `250ms`, `30s`, `5m`, `1h`, `7d`; never a bare number.
struct Duration {
  Nanoseconds nanoseconds = 0;
  friend constexpr bool operator==(Duration, Duration) = default;
};
constexpr Duration milliseconds(std::int64_t n) { return {n * kMillisecond}; }
constexpr Duration seconds(std::int64_t n) { return {n * kSecond}; }
constexpr Duration minutes(std::int64_t n) { return {n * 60 * kSecond}; }
constexpr Duration hours(std::int64_t n) { return {n * 3600 * kSecond}; }
constexpr Duration days(std::int64_t n) { return {n * 86400 * kSecond}; }
std::optional<Duration> parse_duration(std::string_view text);
std::string to_string(Duration);

/// `512B`, `64KiB`, `10MiB`, `1GiB`.
struct Size {
  std::uint64_t bytes = 0;
  friend constexpr bool operator==(Size, Size) = default;
};
constexpr Size kibibytes(std::uint64_t n) { return {n << 10}; }
constexpr Size mebibytes(std::uint64_t n) { return {n << 20}; }
std::optional<Size> parse_size(std::string_view text);
std::string to_string(Size);

/// `100/minute`, `10/second`, `5000/hour`, `1/day`, `20/10s`.
struct Rate {
  std::int64_t limit = 0;
  Duration per{60 * kSecond};
  friend constexpr bool operator==(const Rate&, const Rate&) = default;
};
std::optional<Rate> parse_rate(std::string_view text);
std::string to_string(const Rate&);

/// `5%`, `0.5%`: 0 to 1.
struct Ratio {
  double value = 0;
  friend constexpr bool operator==(Ratio, Ratio) = default;
};

template <>
struct Amount<std::int64_t> {
  static constexpr std::int64_t of(std::int64_t number) { return number; }
  static std::string show(std::int64_t number) { return std::to_string(number); }
};
template <>
struct Amount<Duration> {
  static constexpr Bounds usual{0, 3650 * 86400 * kSecond};  ///< ten years: sums of a few never overflow
  static constexpr std::int64_t of(Duration span) { return span.nanoseconds; }
  static std::string show(std::int64_t nanoseconds) { return to_string(Duration{nanoseconds}); }
};
template <>
struct Amount<Size> {
  static constexpr Bounds usual{0, std::int64_t{1} << 40};  ///< 1 TiB
  static constexpr std::int64_t of(Size size) { return static_cast<std::int64_t>(size.bytes); }
  static std::string show(std::int64_t bytes) { return to_string(Size{static_cast<std::uint64_t>(bytes)}); }
};

#define PLIMSOLL_FORM(T, ...)                               \
  template <>                                               \
  struct Form<T> {                                          \
    static constexpr std::string_view schema = __VA_ARGS__; \
    static Result<T> read(const json::Value&);              \
    static std::string show(const T&);                      \
  };
PLIMSOLL_FORM(bool, R"("type":"boolean")")
PLIMSOLL_FORM(std::string, R"("type":"string")")
PLIMSOLL_FORM(std::int64_t, R"("type":"integer")")
PLIMSOLL_FORM(Duration, R"("type":"string","pattern":"^[0-9]+(ns|us|ms|s|m|h|d)$")")
PLIMSOLL_FORM(Size, R"("type":"string","pattern":"^[0-9]+(B|KiB|MiB|GiB)$")")
PLIMSOLL_FORM(Rate, R"("type":"string","pattern":"^[0-9]+/(second|minute|hour|day|[0-9]+(ms|s|m|h|d))$")")
PLIMSOLL_FORM(Ratio, R"("type":"string","pattern":"^[0-9]+(\\.[0-9]+)?%$")")
PLIMSOLL_FORM(std::vector<std::string>, R"("anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}])")
#undef PLIMSOLL_FORM

/// Read by its owner: the value as it stands; null when absent.
using Raw = const json::Value*;
template <>
struct Form<Raw> {
  static constexpr std::string_view schema = R"("description":"")";
  static Result<Raw> read(const json::Value&);
  static std::string show(const Raw&);
};

/// The same of an object whose members have names of the user's own; anything else is refused.
struct RawObject {
  Raw value = nullptr;
  explicit operator bool() const { return value != nullptr; }
  const json::Value* operator->() const { return value; }
  const json::Value& operator*() const { return *value; }
};
template <>
struct Form<RawObject> {
  static constexpr std::string_view schema = R"("type":"object")";
  static Result<RawObject> read(const json::Value&);
  static std::string show(const RawObject&);
};

/// A choice of words: specialise `Words<E>::words` (in the order of the enumerators) for an enum and use it as an
/// option.
template <class E>
struct Words;
Result<std::size_t> read_word(const json::Value&, std::span<const std::string_view> words);
namespace words {
/// `"enum":["a","b"]`
template <class E>
constexpr auto enumeration() {
  constexpr auto size = [] {
    std::size_t size = 8;
    for (const auto word : Words<E>::words) size += word.size() + 3;
    return size;
  }();
  std::array<char, size> text{};
  auto at = std::copy_n("\"enum\":[", 8, text.begin());
  for (const auto word : Words<E>::words) {
    if (at[-1] != '[') *at++ = ',';
    *at++ = '"';
    at = std::copy(word.begin(), word.end(), at);
    *at++ = '"';
  }
  *at++ = ']';
  return text;
}
template <class E>
inline constexpr auto kEnumeration = enumeration<E>();
}  // namespace words

template <class E>
  requires requires { Words<E>::words; }
struct Form<E> {
  static constexpr std::string_view schema{words::kEnumeration<E>.data(), words::kEnumeration<E>.size()};
  static Result<E> read(const json::Value& from) {
    auto index = read_word(from, Words<E>::words);
    if (!index) return std::unexpected(index.error());
    return static_cast<E>(*index);
  }
  static std::string show(E value) { return '"' + std::string(Words<E>::words[static_cast<std::size_t>(value)]) + '"'; }
};

}  // namespace plimsoll::config
