#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll::client {

/// What a GraphQL request does.
enum class GraphqlOperation : std::uint8_t {
  query,     ///< it changes nothing, and may be sent again
  mutation,  ///< or what cannot be told from the document
  subscription,
};

/// The kind of the operation of that name in a document, or of its only operation where `name` is empty (GraphQL
/// specification of September 2025, section 2). Looks at tokens alone, not at the grammar: what has no such operation,
/// or is no document, counts as a mutation.
GraphqlOperation graphql_operation(std::string_view document, std::string_view name);

}  // namespace plimsoll::client
