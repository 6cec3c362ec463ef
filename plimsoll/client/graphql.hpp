#pragma once

#include "plimsoll/client/graphql_document.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/json/value.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::client {

/// A request of GraphQL over HTTP (draft of the GraphQL Foundation,
/// https://graphql.github.io/graphql-over-http/draft/).
struct GraphqlCall {
  std::string query{};                                         ///< the document
  std::string variables{};                                     ///< a JSON object; empty: none
  std::string operation{};                                     ///< the operation's name, where the document has several
  std::string target{};                                        ///< empty: that of the service's URL
  std::vector<std::pair<std::string, std::string>> headers{};  ///< further ones, names in lower case
  /// A query is sent by GET, so that caches may store its response, where its target is at most 8 KiB long; all else by
  /// POST.
  bool get = false;
  /// Automatic persisted queries: the SHA-256 of the document is sent in its place, and the document where the service
  /// does not know it.
  bool persisted = false;
  std::size_t limit = 16u << 20;  ///< bytes of the answer's body
};

/// An error that a GraphQL service tells of (GraphQL specification, section 7.1.6).
struct GraphqlError {
  struct Location {
    std::int64_t line = 0, column = 0;  ///< from 1
  };
  std::string message{};
  std::string
      path{};  ///< of the member of `data` that could not be had, as a JSON pointer (RFC 6901); empty: all of it
  std::vector<Location> locations{};
  json::Value extensions = json::Value::object({});

  /// `extensions.code`, by which most services tell errors apart; empty: none.
  std::string_view code() const;
};

/// A response of a GraphQL service. Its values live as long as the exchange that called.
struct GraphqlResponse {
  json::Value data{};  ///< null: there is none, and `errors` says why
  std::vector<GraphqlError> errors{};
  json::Value extensions = json::Value::object({});
};

/// Sends a query or a mutation with the policies of the service. A mutation is never sent again where it may have
/// reached the service, a query is retried as a GET is. Errors: those of `Service::call`, for whatever came in place of
/// a response of GraphQL, `bad-answer`; `internal-error` for a subscription, which is no call.
Task<Result<GraphqlResponse>> graphql(Service& service, Context& context, GraphqlCall call);

/// Of a request: what stands for the document.
enum class GraphqlText : std::uint8_t { query, hash, both };
/// The HTTP request of a GraphQL request. `base`: the target of the service's URL.
Call graphql_request(const GraphqlCall& call, GraphqlOperation kind, GraphqlText text, std::string_view base);
/// Reads what a service has answered, by its media type: `application/graphql-response+json` with any status,
/// `application/json` with 2xx alone, because anything between may have made another one. Error: `bad-answer`.
Result<GraphqlResponse> graphql_response(const Answer& answer, Arena& arena);
/// What the service asks for in place of a hash: the document, with the hash where it did not know it, alone where it
/// knows no hashes. Nothing: it has understood.
std::optional<GraphqlText> asks_for(const Answer& answer);

}  // namespace plimsoll::client
