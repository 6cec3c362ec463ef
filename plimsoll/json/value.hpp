#pragma once

#include "plimsoll/base/arena.hpp"

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace plimsoll::json {

enum class Type : std::uint8_t { null, boolean, number, string, array, object };

/// Where a value stood in its text, both from 1, columns in bytes; 0: nowhere.
struct Position {
  std::uint32_t line = 0, column = 0;
};

struct Member;

/// A parsed JSON (or YAML) value: 32 bytes, trivially copyable, its parts in the Arena of whoever parsed it.
///
/// Numbers are exact: the text as written is kept, and the integer or double beside it where it fits. Members keep the
/// order of the text. Values may be rearranged while a document is prepared (overlays, merged extensions) and are
/// treated as constant afterwards.
class Value {
 public:
  constexpr Value() = default;

  Type type() const { return type_; }
  bool is(Type type) const { return type_ == type; }
  Position position() const { return {line_, column_}; }
  void set_position(Position at) { line_ = at.line, column_ = at.column; }
  /// Which text it stood in, where a document is made of several: an index that its owner gives meaning to.
  std::uint16_t source() const { return source_; }
  void set_source(std::uint16_t source) { source_ = source; }

  bool boolean() const { return integer_ != 0; }
  std::string_view string() const { return {text_, size_}; }

  /// The number as it was written.
  std::string_view number_text() const { return {text_, size_}; }
  /// The number where it is mathematically an integer within 64 bits (`1.0` and `1e2` are).
  std::optional<std::int64_t> integer() const {
    if (kind_ == Kind::integer) return integer_;
    return std::nullopt;
  }
  /// The nearest double.
  double number() const { return kind_ == Kind::integer ? static_cast<double>(integer_) : double_; }

  std::span<const Value> array() const { return {values_, type_ == Type::array ? size_ : 0}; }
  std::span<Value> array() { return {values_, type_ == Type::array ? size_ : 0}; }
  std::span<const Member> object() const;
  std::span<Member> object();
  /// The member of that name, or null: also when this is no object.
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  /// Follows member names: `at("info", "title")`; null when one is missing.
  template <class... K>
  const Value* at(std::string_view key, K... more) const {
    const Value* found = find(key);
    if constexpr (sizeof...(more) > 0) return found ? found->at(more...) : nullptr;
    return found;
  }

  // Making. Strings are not copied: give what lives as long as the value, or Arena::keep it first.
  static Value of(std::nullptr_t) { return {}; }
  static Value of(bool);
  static Value of(std::int64_t, Arena&);
  static Value of(double, Arena&);
  template <std::integral I>
    requires(!std::same_as<I, bool>)
  static Value of(I number, Arena& arena) {
    return of(static_cast<std::int64_t>(number), arena);
  }
  static Value of(std::string_view text) {
    Value value;
    value.text_ = text.data();
    value.size_ = static_cast<std::uint32_t>(text.size());
    value.type_ = Type::string;
    return value;
  }
  static Value of(const char* text) { return of(std::string_view(text)); }
  /// From the text of a JSON number, which must be one.
  static Value number(std::string_view text);
  /// The same where the integer is known already.
  static Value integer_of(std::string_view text, std::int64_t number) {
    Value value = of(text);
    value.integer_ = number;
    value.type_ = Type::number;
    value.kind_ = Kind::integer;
    return value;
  }
  /// The same where it is known to be no integer, and which double is the nearest.
  static Value fraction_of(std::string_view text, double nearest) {
    Value value = of(text);
    value.double_ = nearest;
    value.type_ = Type::number;
    value.kind_ = Kind::real;
    return value;
  }
  static Value array(std::span<Value> items) {
    Value value;
    value.values_ = items.data();
    value.size_ = static_cast<std::uint32_t>(items.size());
    value.type_ = Type::array;
    return value;
  }
  static Value object(std::span<Member> members);
  /// Replaces the member of that name or adds it at the end.
  void set(Arena&, std::string_view key, Value);
  void remove(std::string_view key);
  void push(Arena&, Value);
  /// A copy whose containers (not strings) are its own.
  Value clone(Arena&) const;

 private:
  enum class Kind : std::uint8_t { none, integer, real, free };
  template <class Item>
  Item* grow(Arena&, Item* items);
  union {
    const char* text_ = nullptr;  // string, number
    Value* values_;               // array
    Member* members_;             // object
  };
  union {
    std::int64_t integer_ = 0;  // of a container: slots it has, where it was grown
    double double_;
  };
  std::uint32_t size_ = 0;
  Type type_ = Type::null;
  Kind kind_ = Kind::none;
  std::uint16_t source_ = 0;
  std::uint32_t line_ = 0, column_ = 0;
};

struct Member {
  std::string_view key;
  Value value;
  Position at{};  ///< of the key
};

inline std::span<const Member> Value::object() const { return {members_, type_ == Type::object ? size_ : 0}; }
inline std::span<Member> Value::object() { return {members_, type_ == Type::object ? size_ : 0}; }
inline Value Value::object(std::span<Member> members) {
  Value value;
  value.members_ = members.data();
  value.size_ = static_cast<std::uint32_t>(members.size());
  value.type_ = Type::object;
  return value;
}
inline const Value* Value::find(std::string_view key) const {
  for (auto& member : object())
    if (member.key == key) return &member.value;
  return nullptr;
}
inline Value* Value::find(std::string_view key) {
  return const_cast<Value*>(static_cast<const Value*>(this)->find(key));
}

/// Equality as JSON Schema defines it: numbers by mathematical value, objects regardless of order.
bool equal(const Value&, const Value&);

}  // namespace plimsoll::json
