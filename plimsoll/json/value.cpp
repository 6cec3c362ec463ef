#include "plimsoll/json/value.hpp"

#include "plimsoll/json/number.hpp"
#include "plimsoll/json/object_builder.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>

namespace plimsoll::json {
namespace {

template <class T>
std::string_view keep_number(T value, Arena& arena) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return arena.keep({text, static_cast<std::size_t>(end - text)});
}

/// The integer behind a decimal of at most 19 digits before the point and none after it, if it fits.
std::optional<std::int64_t> small_integer(const Decimal& number) {
  if (number.zero()) return 0;
  if (number.lowest() < 0 || number.magnitude() > 18) return std::nullopt;
  std::uint64_t size = 0;
  number.digits([&](int digit) { size = size * 10 + static_cast<unsigned>(digit); });
  for (auto left = number.lowest(); left > 0; --left) size *= 10;
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (size > kMost + (number.negative() ? 1 : 0)) return std::nullopt;
  return static_cast<std::int64_t>(number.negative() ? 0 - size : size);
}

bool equal_objects(const Value& a, const Value& b) {
  const auto left = a.object(), right = b.object();
  if (left.size() != right.size()) return false;
  std::size_t same = 0;  // members that stand in the same order need no search
  for (; same < left.size() && left[same].key == right[same].key; ++same)
    if (!equal(left[same].value, right[same].value)) return false;
  if (left.size() - same <= 16) {
    for (const auto& member : left.subspan(same)) {
      const auto* other = b.find(member.key);
      if (!other || !equal(member.value, *other)) return false;
    }
    return true;
  }
  ObjectBuilder others;
  others.reserve(right.size() - same);
  for (const auto& member : right.subspan(same)) others.add(member.key, member.value);
  for (const auto& member : left.subspan(same)) {
    const auto place = others.find(member.key);
    if (place == ObjectBuilder::npos || !equal(member.value, others.at(place))) return false;
  }
  return true;
}

}  // namespace

Value Value::of(bool b) {
  Value value;
  value.type_ = Type::boolean;
  value.integer_ = b;
  return value;
}

Value Value::of(std::int64_t number, Arena& arena) { return integer_of(keep_number(number, arena), number); }

Value Value::of(double number, Arena& arena) {
  if (!std::isfinite(number)) return {};
  return Value::number(keep_number(number, arena));
}

Value Value::number(std::string_view text) {
  const Decimal decimal(text);
  if (const auto integer = small_integer(decimal)) return integer_of(text, *integer);
  double nearest = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), nearest).ec == std::errc::result_out_of_range)
    nearest = decimal.magnitude() < 0 ? 0.0 : std::numeric_limits<double>::infinity();
  return fraction_of(text, decimal.negative() ? -std::abs(nearest) : nearest);
}

// Containers that were grown keep room for more. Copies of a Value share their items, so a slot is taken only while it
// is marked free: the copy that comes second moves away instead of overwriting.
template <class Item>
Item* Value::grow(Arena& arena, Item* items) {
  const auto mark = [](Item& item) -> Value& {
    if constexpr (std::is_same_v<Item, Member>)
      return item.value;
    else
      return item;
  };
  if (size_ < integer_ && mark(items[size_]).kind_ == Kind::free) return items;
  integer_ = size_ + std::max<std::int64_t>(2, size_ / 2);
  auto* moved = arena.array<Item>(static_cast<std::size_t>(integer_));
  std::uninitialized_copy(items, items + size_, moved);
  for (std::int64_t i = size_; i < integer_; ++i) {
    ::new (&moved[i]) Item{};
    mark(moved[i]).kind_ = Kind::free;
  }
  return moved;
}

void Value::set(Arena& arena, std::string_view key, Value value) {
  if (auto* found = find(key)) {
    *found = value;
    return;
  }
  if (type_ != Type::object) *this = object(std::span<Member>{});
  members_ = grow(arena, members_);
  members_[size_++] = Member{key, value};
}

void Value::remove(std::string_view key) {
  for (std::uint32_t i = 0; i < object().size(); ++i) {
    if (members_[i].key != key) continue;
    std::copy(members_ + i + 1, members_ + size_, members_ + i);
    --size_;
    return;
  }
}

void Value::push(Arena& arena, Value value) {
  if (type_ != Type::array) *this = array(std::span<Value>{});
  values_ = grow(arena, values_);
  values_[size_++] = value;
}

Value Value::clone(Arena& arena) const {
  Value copy = *this;
  if (type_ == Type::array || type_ == Type::object) copy.integer_ = 0;
  if (type_ == Type::array) {
    copy.values_ = arena.array<Value>(size_);
    for (std::uint32_t i = 0; i < size_; ++i) ::new (&copy.values_[i]) Value(values_[i].clone(arena));
  } else if (type_ == Type::object) {
    copy.members_ = arena.array<Member>(size_);
    for (std::uint32_t i = 0; i < size_; ++i)
      ::new (&copy.members_[i]) Member{members_[i].key, members_[i].value.clone(arena), members_[i].at};
  }
  return copy;
}

bool equal(const Value& a, const Value& b) {
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Type::null: return true;
    case Type::boolean: return a.boolean() == b.boolean();
    case Type::number: return compare(a, b) == 0;
    case Type::string: return a.string() == b.string();
    case Type::array: return std::ranges::equal(a.array(), b.array(), equal);
    case Type::object: return equal_objects(a, b);
  }
  return false;
}

}  // namespace plimsoll::json
