#include "plimsoll/json/number.hpp"
#include "plimsoll/schema/operations.hpp"

#include <algorithm>
#include <chrono>

namespace plimsoll::schema {
namespace {

using json::Type;
using json::Value;

/// Differs from process to process, so that nobody can prepare items that fall together.
std::uint64_t secret() {
  static const int here = 0;  // where the loader put it is as good as random
  static const auto made =
      static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) * 0x9E3779B97F4A7C15ull ^
      reinterpret_cast<std::uintptr_t>(&here);
  return made;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const auto product =
      static_cast<unsigned __int128>(a ^ 0x9E3779B97F4A7C15ull) * (b ^ secret() ^ 0xD6E8FEB86659FD93ull);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint64_t hash_text(std::string_view text) {
  std::uint64_t hash = mix(text.size(), secret());
  for (; text.size() >= 8; text.remove_prefix(8)) {
    std::uint64_t word;
    std::memcpy(&word, text.data(), 8);
    hash = mix(hash, word);
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, text.data(), text.size());
  return mix(hash, rest);
}

constexpr std::size_t kBytesAStep = 32;  // that are hashed or compared

/// What it costs to look at all of a value.
std::uint64_t weight(const Value& value) {
  std::uint64_t sum = 1;
  if (value.is(Type::string)) return sum + value.string().size() / kBytesAStep;
  if (value.is(Type::number)) return sum + value.number_text().size() / kBytesAStep;
  for (const auto& item : value.array()) sum += weight(item);
  for (const auto& member : value.object()) sum += 1 + member.key.size() / kBytesAStep + weight(member.value);
  return sum;
}

/// Equal values hash alike: numbers by their digits, objects regardless of order.
std::uint64_t hash(const Value& value) {
  const auto type = static_cast<std::uint64_t>(value.type());
  switch (value.type()) {
    case Type::null: return mix(type, 0);
    case Type::boolean: return mix(type, value.boolean());
    case Type::number: {
      const json::Decimal number(value.number_text());
      std::uint64_t made = mix(type, static_cast<std::uint64_t>(number.magnitude()) * 2 + number.negative());
      number.digits([&](int digit) { made = mix(made, static_cast<std::uint64_t>(digit)); });
      return made;
    }
    case Type::string: return mix(type, hash_text(value.string()));
    case Type::array: {
      auto made = mix(type, value.array().size());
      for (const auto& item : value.array()) made = mix(made, hash(item));
      return made;
    }
    case Type::object: {
      std::uint64_t made = value.object().size();
      for (const auto& member : value.object()) made += mix(hash_text(member.key), hash(member.value));
      return mix(type, made);
    }
  }
  return 0;
}

bool is_unique_by_hash(std::span<const Value> items, Steps& steps) {
  struct Hashed {
    std::uint64_t hash;
    const Value* value;
  };
  static thread_local std::vector<Hashed> hashed;  // kept for the next, but not when it was huge
  hashed.clear();
  bool unique = true;
  for (const auto& item : items) {
    if (!steps.spend(weight(item))) {
      unique = false;
      break;
    }
    hashed.push_back({hash(item), &item});
  }
  std::ranges::sort(hashed, {}, &Hashed::hash);
  for (std::size_t i = 0; unique && i < hashed.size(); ++i)
    for (auto j = i + 1; unique && j < hashed.size() && hashed[j].hash == hashed[i].hash; ++j)
      unique = !json::equal(*hashed[i].value, *hashed[j].value);
  constexpr std::size_t kKept = 4096;
  if (hashed.capacity() > kKept) std::vector<Hashed>().swap(hashed);
  return unique;
}

}  // namespace

bool is_unique(std::span<const Value> items, Steps& steps) {
  constexpr std::size_t kFew = 16;
  if (items.size() > kFew) return is_unique_by_hash(items, steps);
  for (std::size_t i = 1; i < items.size(); ++i) {
    // Each earlier one is looked at no further than this one goes. Few scalars cost nothing beside having been read.
    static_assert(Type::array > Type::string && Type::object > Type::string);
    if (items[i].type() > Type::string && !steps.spend(i * weight(items[i]) / 2)) return false;
    for (std::size_t j = 0; j < i; ++j)
      if (items[i].type() == items[j].type() && json::equal(items[i], items[j])) return false;
  }
  return true;
}

}  // namespace plimsoll::schema
