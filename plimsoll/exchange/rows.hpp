#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/problems.hpp"
#include "plimsoll/json/members.hpp"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

namespace rows {

/// A value of C++ as a parameter of a statement.
template <class T>
database::Cell cell(const T& value) {
  if constexpr (std::same_as<T, database::Cell>)
    return value;
  else if constexpr (json::members::is_optional<T>)
    return value ? cell(*value) : database::Cell{};
  else if constexpr (std::integral<T>)
    return static_cast<std::int64_t>(value);
  else if constexpr (std::floating_point<T>)
    return static_cast<double>(value);
  else
    return std::string(std::string_view(value));
}

/// A column that does not hold what its C++ type takes, for the log: the statement and the type are the program's.
std::unexpected<Error> misfit(std::size_t column, std::string_view name, const char* what);

template <class T>
Result<> take(database::Cell& from, T& into, std::size_t column, std::string_view name) {
  static_assert(!std::same_as<T, std::string_view>, "a row does not last: take its texts as std::string");
  if constexpr (json::members::is_optional<T>) {
    if (std::holds_alternative<std::monostate>(from)) return into.reset(), Result<>{};
    return take(from, into.emplace(), column, name);
  } else if constexpr (std::integral<T>) {
    const auto* number = std::get_if<std::int64_t>(&from);
    if (!number || (!std::same_as<T, bool> && !std::in_range<T>(*number))) return misfit(column, name, "an integer");
    into = static_cast<T>(*number);
  } else if constexpr (std::floating_point<T>) {
    if (const auto* number = std::get_if<double>(&from))
      into = static_cast<T>(*number);
    else if (const auto* integer = std::get_if<std::int64_t>(&from))
      into = static_cast<T>(*integer);
    else
      return misfit(column, name, "a number");
  } else {
    auto* text = std::get_if<std::string>(&from);
    if (!text) return misfit(column, name, "a text");
    into = std::move(*text);
  }
  return {};
}

/// A row as a struct, whose members are its columns in their order; or as the one value it has.
template <class T>
Result<T> made(std::vector<database::Cell>& row) {
  T into{};
  if constexpr (json::Struct<T>) {
    constexpr auto count = json::members::count<T>();
    if (row.size() != count) return misfit(row.size(), {}, "as many columns as the struct has members");
    const auto all = json::members::all(into);
    Result<> done;
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      static_cast<void>(((done = take(row[I], std::get<I>(all), I, json::members::name<T, I>())).has_value() && ...));
    }(std::make_index_sequence<count>{});
    if (!done) return std::unexpected(std::move(done).error());
  } else {
    if (row.size() != 1) return misfit(row.size(), {}, "one column");
    if (auto done = take(row[0], into, 0, {}); !done) return std::unexpected(std::move(done).error());
  }
  return into;
}

template <class T>
Result<std::vector<T>> all_of(Result<database::Rows> read) {
  if (!read) return std::unexpected(std::move(read).error());
  std::vector<T> all;
  all.reserve(read->size());
  for (auto& row : *read) {
    auto one = made<T>(row);
    if (!one) return std::unexpected(std::move(one).error());
    all.push_back(std::move(*one));
  }
  return all;
}
template <class T>
Result<std::optional<T>> first_of(Result<database::Rows> read) {
  if (!read) return std::unexpected(std::move(read).error());
  if (read->empty()) return std::optional<T>{};
  auto one = made<T>(read->front());
  if (!one) return std::unexpected(std::move(one).error());
  return std::optional<T>{std::move(*one)};
}

}  // namespace rows

/// Reads of a handler, outside of any transaction: each sees all that was committed before it. Parameters are `?`, and
/// values of C++; a row is a struct whose members are the columns in their order, or the value of the only column.
///
/// A handler takes it as an argument; without a database the server does not start.
class Database {
 public:
  explicit Database(Context& context) : context_(&context) {}

  template <class T, class... A>
  Task<Result<std::vector<T>>> all(std::string_view sql, A... parameters) const {
    const std::array<database::Cell, sizeof...(A)> cells{rows::cell(parameters)...};
    auto read = co_await query(*context_, sql, cells);
    co_return rows::all_of<T>(std::move(read));
  }
  /// The first row, or nothing.
  template <class T, class... A>
  Task<Result<std::optional<T>>> find(std::string_view sql, A... parameters) const {
    const std::array<database::Cell, sizeof...(A)> cells{rows::cell(parameters)...};
    auto read = co_await query(*context_, sql, cells);
    co_return rows::first_of<T>(std::move(read));
  }
  /// The first row; the problem `not-found` (404) where there is none.
  template <class T, class... A>
  Task<Result<T>> get(std::string_view sql, A... parameters) const {
    auto first = co_await find<T>(sql, std::move(parameters)...);
    if (!first) co_return std::unexpected(std::move(first).error());
    if (!*first) co_return fail(kNotFound);
    co_return std::move(**first);
  }

 private:
  static Task<Result<database::Rows>> query(Context& context, std::string_view sql,
                                            std::span<const database::Cell> parameters);
  Context* context_;
};

// The same within a transaction: of a unit of work, or of a job.

template <class T, class... A>
Task<Result<std::vector<T>>> all(database::Session& session, std::string_view sql, A... parameters) {
  const std::array<database::Cell, sizeof...(A)> cells{rows::cell(parameters)...};
  auto read = co_await session.query(sql, cells);
  co_return rows::all_of<T>(std::move(read));
}
template <class T, class... A>
Task<Result<std::optional<T>>> find(database::Session& session, std::string_view sql, A... parameters) {
  const std::array<database::Cell, sizeof...(A)> cells{rows::cell(parameters)...};
  auto read = co_await session.query(sql, cells);
  co_return rows::first_of<T>(std::move(read));
}
/// A statement whose rows nobody needs.
template <class... A>
Task<Result<>> execute(database::Session& session, std::string_view sql, A... parameters) {
  const std::array<database::Cell, sizeof...(A)> cells{rows::cell(parameters)...};
  auto read = co_await session.query(sql, cells);
  if (!read) co_return std::unexpected(std::move(read).error());
  co_return Result<>{};
}

}  // namespace plimsoll
