#pragma once

#include "plimsoll/contract/compiled.hpp"

#include <string_view>

namespace plimsoll::contract {

/// A runtime expression of OpenAPI (3.1, section 4.8.20.4): `$response.body#/id`, `$request.header.etag`, `$url`, …
bool is_runtime_expression(std::string_view text);

/// What OpenAPI says of operations that this server does not serve: links name operations that exist, the keys of
/// callbacks and the values of links hold runtime expressions, `operationId`s are unique over paths, callbacks and
/// webhooks. They are read and kept, and what is wrong in them is told; only the last refuses.
void check_links(const Compiled& made, Report& report);

}  // namespace plimsoll::contract
