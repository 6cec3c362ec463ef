#pragma once

// What the fuzz target checks, and the replay of its corpus.

#include "plimsoll/base/arena.hpp"
#include "plimsoll/client/graphql.hpp"

#include <string>
#include <string_view>

namespace plimsoll::client {

/// Empty, or what is wrong with how a text is read as a document.
inline std::string document_fault(std::string_view text) {
  using enum GraphqlOperation;
  const std::string document(text);
  const auto kind = graphql_operation(document, "");
  if (graphql_operation(document + "\nmutation M { a }", "M") != mutation) return "a mutation is none";
  if (kind == mutation) return {};
  if (graphql_operation("# {\n" + document + " # }", "") != kind) return "a comment changes what a document does";
  if (graphql_operation("fragment query on mutation { a }" + document, "") != kind)
    return "a fragment changes what a document does";
  if (graphql_operation(document + "\n{ a }", "") != mutation) return "one of two operations is chosen";
  return {};
}

/// Empty, or what is wrong with how a text is read as a response.
inline std::string response_fault(std::string_view text) {
  Arena arena;
  Answer answer{.status = 400};
  answer.headers.emplace_back("content-type", "application/graphql-response+json");
  answer.body = text;
  const auto response = graphql_response(answer, arena);
  if (!response) return {};
  if (!response->data.is(json::Type::object) && !response->data.is(json::Type::null)) return "data that is no object";
  if (response->data.is(json::Type::null) && response->errors.empty()) return "neither data nor errors";
  for (const auto& error : response->errors) {
    if (!error.path.empty() && !error.path.starts_with('/')) return "a path that is no pointer";
    for (auto at = error.path.find('~'); at != error.path.npos; at = error.path.find('~', at + 1))
      if (at + 1 == error.path.size() || (error.path[at + 1] != '0' && error.path[at + 1] != '1'))
        return "an escape that is none";
  }
  answer.headers.front().second = "application/json";
  if (graphql_response(answer, arena)) return "JSON is read with another status than 2xx";
  answer.status = 200;
  if (!graphql_response(answer, arena)) return "the type of a response changes whether it is one";
  if (asks_for(answer) && response->errors.empty()) return "a document is sent again without an error";
  return {};
}

}  // namespace plimsoll::client
