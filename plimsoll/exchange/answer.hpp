#pragma once

#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/problems.hpp"
#include "plimsoll/json/members.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace plimsoll {

/// A name that is part of a type: what it names is looked up when the server starts.
template <std::size_t N>
struct Name {
  char text[N]{};
  consteval Name(const char (&literal)[N]) {
    for (std::size_t i = 0; i < N; ++i) text[i] = literal[i];
  }
  constexpr std::string_view view() const { return {text, N - 1}; }
};

/// A response with a body of that media type. The body's bytes are its own, or last as long as the exchange.
Response content_response(Context& context, FieldText media_type, Body body, std::uint16_t status = 200);
/// A value as JSON: a struct, a vector, a json::Value, …
template <class T>
Response json_response(Context& context, const T& value, std::uint16_t status = 200) {
  return content_response(context, "application/json", context.body(json::to_string(value)), status);
}
/// Text that is JSON already.
Response json_text_response(Context& context, std::string text, std::uint16_t status = 200);
Response text_response(Context& context, std::string text, std::uint16_t status = 200);
Response empty_response(Context& context);
/// The same error, of another type of result: `co_return passed_on(rows);`.
template <class T>
std::unexpected<Error> passed_on(Result<T>& failed) {
  return std::unexpected(std::move(failed).error());
}

// What a handler returns says which responses it gives: `Task<Result<Json<Book>>>`. The contract must declare them, or
// the server does not start. Problems are given by `fail` and need no type of their own.

/// A value as JSON.
template <class T, std::uint16_t Status = 200>
struct Json {
  T value;
  template <class U = T>
    requires(std::constructible_from<T, U> && !std::same_as<std::remove_cvref_t<U>, Json>)
  Json(U&& value) : value(std::forward<U>(value)) {}

  static constexpr std::uint16_t status = Status;
  static constexpr std::string_view media_type = "application/json";
  static constexpr const json::Shape* shape = &json::shape<T>;
  Response respond(Context& context) const { return json_response(context, value, Status); }
};

/// Text in UTF-8.
template <std::uint16_t Status = 200>
struct PlainText {
  std::string value;
  PlainText(std::string value) : value(std::move(value)) {}

  static constexpr std::uint16_t status = Status;
  static constexpr std::string_view media_type = "text/plain";
  static constexpr const json::Shape* shape = nullptr;
  Response respond(Context& context) { return text_response(context, std::move(value), Status); }
};

/// No body.
template <std::uint16_t Status = 204>
struct NoContent {
  static constexpr std::uint16_t status = Status;
  static constexpr std::string_view media_type = {};
  static constexpr const json::Shape* shape = nullptr;
  Response respond(Context& context) { return {.status = Status, .headers = Headers{context.arena}}; }
};

/// A body of any media type: text, a file, a stream.
template <Name MediaType, std::uint16_t Status = 200>
struct Content {
  Body body;
  template <class B>
    requires(std::constructible_from<Body, B> && !std::same_as<std::remove_cvref_t<B>, Content>)
  Content(B&& body) : body(std::forward<B>(body)) {}

  static constexpr std::uint16_t status = Status;
  static constexpr std::string_view media_type = MediaType.view();
  static constexpr const json::Shape* shape = nullptr;
  Response respond(Context& context) { return content_response(context, lasting(media_type), std::move(body), Status); }
};

/// One of several.
template <class... A>
struct OneOf {
  std::variant<A...> answer;
  template <class B>
    requires(!std::same_as<std::remove_cvref_t<B>, OneOf> && std::constructible_from<std::variant<A...>, B>)
  OneOf(B&& answer) : answer(std::forward<B>(answer)) {}
  Response respond(Context& context) {
    return std::visit([&](auto& each) { return each.respond(context); }, answer);
  }
};

}  // namespace plimsoll
