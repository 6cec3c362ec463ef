#pragma once

#include "plimsoll/json/value.hpp"
#include "plimsoll/json/write.hpp"

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace plimsoll::json {

namespace members {

// What stands below finds out which members a struct has and what they are called: how many values initialise it, a
// structured binding of that size, and the name of a pointer to each as the compiler spells it.
struct Anything {
  template <class T>
  operator T() const {
    __builtin_trap();  // never called
  }
};
template <class T, std::size_t... I>
consteval bool takes(std::index_sequence<I...>) {
  return requires { T{(static_cast<void>(I), Anything{})...}; };
}
inline constexpr std::size_t kMost = 16;
template <class T, std::size_t N = kMost>
consteval std::size_t count() {
  static_assert(!takes<T>(std::make_index_sequence<kMost + 1>{}), "a struct of JSON has at most 16 members: nest some");
  if constexpr (N == 0 || takes<T>(std::make_index_sequence<N>{}))
    return N;
  else
    return count<T, N - 1>();
}

/// References to all members, in order.
template <class T>
constexpr auto all(T& value) {
  constexpr auto size = count<std::remove_const_t<T>>();
#define PLIMSOLL_MEMBERS(n, ...)  \
  else if constexpr (size == n) { \
    auto& [__VA_ARGS__] = value;  \
    return std::tie(__VA_ARGS__); \
  }
  if constexpr (size == 0) return std::tuple<>{};
  PLIMSOLL_MEMBERS(1, a)
  PLIMSOLL_MEMBERS(2, a, b)
  PLIMSOLL_MEMBERS(3, a, b, c)
  PLIMSOLL_MEMBERS(4, a, b, c, d)
  PLIMSOLL_MEMBERS(5, a, b, c, d, e)
  PLIMSOLL_MEMBERS(6, a, b, c, d, e, f)
  PLIMSOLL_MEMBERS(7, a, b, c, d, e, f, g)
  PLIMSOLL_MEMBERS(8, a, b, c, d, e, f, g, h)
  PLIMSOLL_MEMBERS(9, a, b, c, d, e, f, g, h, i)
  PLIMSOLL_MEMBERS(10, a, b, c, d, e, f, g, h, i, j)
  PLIMSOLL_MEMBERS(11, a, b, c, d, e, f, g, h, i, j, k)
  PLIMSOLL_MEMBERS(12, a, b, c, d, e, f, g, h, i, j, k, l)
  PLIMSOLL_MEMBERS(13, a, b, c, d, e, f, g, h, i, j, k, l, m)
  PLIMSOLL_MEMBERS(14, a, b, c, d, e, f, g, h, i, j, k, l, m, n)
  PLIMSOLL_MEMBERS(15, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o)
  PLIMSOLL_MEMBERS(16, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
#undef PLIMSOLL_MEMBERS
}

/// Never made: only the places of its members are looked at.
template <class T>
union Unmade {
  char nothing;
  T value;
  constexpr Unmade() : nothing() {}
  constexpr ~Unmade() {}
};
template <class T>
inline constexpr Unmade<T> unmade{};
template <class P>
struct Place {
  P at;
};
template <Place place>
consteval std::string_view spelled() {
  return __PRETTY_FUNCTION__;
}
template <class T, std::size_t I>
consteval std::string_view declared_name() {
  constexpr auto text = spelled<Place{&std::get<I>(all(unmade<T>.value))}>();
  constexpr auto end = text.find_last_of("_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
  constexpr auto whole = text.substr(0, end + 1);
  return whole.substr(whole.find_last_of(".:>") + 1);
}
template <class T, std::size_t I>
constexpr std::string_view name() {
  if constexpr (requires { T::names; })
    return T::names[I];
  else
    return declared_name<T, I>();
}

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_list = false;
template <class T>
inline constexpr bool is_list<std::vector<T>> = true;
template <class T>
concept Text = std::same_as<T, std::string> || std::same_as<T, std::string_view>;

}  // namespace members

/// A struct whose members are those of a JSON object: an aggregate without base classes, of at most 16 members.
template <class T>
concept Struct = std::is_class_v<T> && std::is_aggregate_v<T> && !members::is_optional<T> && !members::is_list<T> &&
                 !members::Text<T>;

/// What a C++ type holds of JSON, for whoever compares it with a schema.
struct Shape {
  enum class Kind : std::uint8_t { any, boolean, integer, number, string, array, object } kind = Kind::any;
  bool optional = false;
  std::int64_t least = 0, most = 0;  ///< of an integer
  const Shape* items = nullptr;      ///< of an array
  struct Member {
    std::string_view name;
    const Shape* shape;
  };
  const Member* members = nullptr;  ///< of an object
  std::size_t count = 0;
};

template <class T>
struct ShapeOf;
/// The shape of T.
template <class T>
inline constexpr Shape shape = ShapeOf<T>::make();

template <class T, class Sequence>
struct MembersOf;
template <class T, std::size_t... I>
struct MembersOf<T, std::index_sequence<I...>> {
  using Tuple = decltype(members::all(std::declval<T&>()));
  static constexpr Shape::Member list[sizeof...(I) + 1] = {
      {members::name<T, I>(), &shape<std::remove_cvref_t<std::tuple_element_t<I, Tuple>>>}..., {{}, nullptr}};
};

template <class T>
struct ShapeOf {
  static constexpr Shape make() {
    if constexpr (members::is_optional<T>) {
      Shape made = shape<typename T::value_type>;
      made.optional = true;
      return made;
    } else if constexpr (std::same_as<T, bool>) {
      return {.kind = Shape::Kind::boolean};
    } else if constexpr (std::integral<T>) {
      constexpr auto most = std::numeric_limits<T>::max();
      return {.kind = Shape::Kind::integer,
              .least = static_cast<std::int64_t>(std::numeric_limits<T>::min()),
              .most = std::in_range<std::int64_t>(most) ? static_cast<std::int64_t>(most)
                                                        : std::numeric_limits<std::int64_t>::max()};
    } else if constexpr (std::floating_point<T>) {
      return {.kind = Shape::Kind::number};
    } else if constexpr (members::Text<T>) {
      return {.kind = Shape::Kind::string};
    } else if constexpr (members::is_list<T>) {
      return {.kind = Shape::Kind::array, .items = &shape<typename T::value_type>};
    } else if constexpr (std::same_as<T, Value>) {
      return {};
    } else {
      static_assert(Struct<T>,
                    "JSON is read into and written from bool, integers, double, std::string, std::string_view, "
                    "std::vector, std::optional, json::Value and structs of these");
      constexpr auto size = members::count<T>();
      return {
          .kind = Shape::Kind::object, .members = MembersOf<T, std::make_index_sequence<size>>::list, .count = size};
    }
  }
};

/// Where a value is not what its C++ type holds.
struct Misfit {
  std::string pointer{}, message{};
};

/// Reads a value into a T. False: it does not fit, and `misfit` says where. A std::string_view is a view of the value's
/// text and lives as long. Members of a JSON object that the struct does not have are passed over.
template <class T>
bool read(const Value& from, T& into, Misfit& misfit) {
  const auto wrong = [&](const char* message) {
    misfit.message = message;
    return false;
  };
  if constexpr (members::is_optional<T>) {
    if (from.is(Type::null)) return into.reset(), true;
    return read(from, into.emplace(), misfit);
  } else if constexpr (std::same_as<T, bool>) {
    if (!from.is(Type::boolean)) return wrong("must be a boolean");
    into = from.boolean();
  } else if constexpr (std::integral<T>) {
    const auto number = from.is(Type::number) ? from.integer() : std::nullopt;
    if (!number) return wrong("must be an integer");
    if (!std::in_range<T>(*number)) return wrong("is out of range");
    into = static_cast<T>(*number);
  } else if constexpr (std::floating_point<T>) {
    if (!from.is(Type::number)) return wrong("must be a number");
    into = static_cast<T>(from.number());
  } else if constexpr (members::Text<T>) {
    if (!from.is(Type::string)) return wrong("must be a string");
    into = from.string();
  } else if constexpr (std::same_as<T, Value>) {
    into = from;
  } else if constexpr (members::is_list<T>) {
    if (!from.is(Type::array)) return wrong("must be an array");
    into.clear();
    into.reserve(from.array().size());
    for (std::size_t i = 0; const auto& item : from.array()) {
      typename T::value_type read_item{};
      if (!read(item, read_item, misfit)) {
        misfit.pointer.insert(0, "/" + std::to_string(i));
        return false;
      }
      into.push_back(std::move(read_item));
      ++i;
    }
  } else {
    if (!from.is(Type::object)) return wrong("must be an object");
    const auto member = [&]<std::size_t I>(auto& value) {
      using M = std::remove_reference_t<decltype(value)>;
      const auto name = members::name<T, I>();
      const auto* found = from.find(name);
      if (!found) {
        if constexpr (members::is_optional<M>) return value.reset(), true;
        misfit.message = "is required";
      } else if (read(*found, value, misfit)) {
        return true;
      }
      misfit.pointer.insert(0, "/" + std::string(name));
      return false;
    };
    const auto all = members::all(into);
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return (member.template operator()<I>(std::get<I>(all)) && ...);
    }(std::make_index_sequence<members::count<T>()>{});
  }
  return true;
}

/// Writes a T as JSON. Optional members that are empty are left out.
template <class T>
void write(Writer& out, const T& value) {
  if constexpr (members::is_optional<T>) {
    value ? write(out, *value) : static_cast<void>(out.null());
  } else if constexpr (std::same_as<T, bool>) {
    out.boolean(value);
  } else if constexpr (std::integral<T>) {
    out.integer(static_cast<std::int64_t>(value));
  } else if constexpr (std::floating_point<T>) {
    out.number(value);
  } else if constexpr (members::Text<T>) {
    out.string(value);
  } else if constexpr (std::same_as<T, Value>) {
    out.value(value);
  } else if constexpr (members::is_list<T>) {
    out.begin_array();
    for (const auto& item : value) write(out, item);
    out.end_array();
  } else {
    out.begin_object();
    const auto member = [&]<std::size_t I>(const auto& each) {
      if constexpr (members::is_optional<std::remove_cvref_t<decltype(each)>>)
        if (!each) return;
      out.key(members::name<T, I>());
      write(out, each);
    };
    const auto all = members::all(value);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (member.template operator()<I>(std::get<I>(all)), ...);
    }(std::make_index_sequence<members::count<T>()>{});
    out.end_object();
  }
}

/// One line of JSON.
template <class T>
  requires(!std::same_as<T, Value>)
std::string to_string(const T& value) {
  std::string out;
  Writer writer(out);
  write(writer, value);
  return out;
}

}  // namespace plimsoll::json
