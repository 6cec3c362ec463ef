#pragma once

#include "plimsoll/contract/contract.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::contract {

/// The values of the declared query parameters in their one canonical form: in the contract's order, written in each
/// parameter's style, everything but unreserved characters percent-encoded, defaults left out. Two requests with the
/// same values give the same text however they were written, and nothing else of a request is in it: what is written
/// into a response that a cache may keep must be made from this and never from `Request::query`.
///
/// `without`: names that are left out, such as those of credentials and cursors. `values` as in Input::parameters.
std::string canonical_query(const Operation&, std::span<const json::Value* const> values,
                            std::span<const std::string_view> without = {});

/// The operation's path with the values of its path parameters, in the same form; `captured` where nobody has read
/// them. A request by another base path of `servers` gives the same text.
std::string canonical_path(const Operation&, std::span<const json::Value* const> values,
                           std::span<const std::string_view> captured);

/// The value of a header parameter in the same form, as it stands in its field; nothing where it is absent or the
/// default.
std::optional<std::string> canonical_header(const Parameter&, const json::Value* value);

/// A `Cookie` line of the declared cookie parameters and nothing else, in the contract's order: what a cookie cannot
/// hold is percent-encoded. Empty: there are none. `values` as in Input::parameters.
std::string canonical_cookies(const Operation&, std::span<const json::Value* const> values);

/// Names of the query parameters that carry credentials: those of every `apiKey` scheme in `query` of the contract.
std::vector<std::string> credential_parameters(const Contract&);

}  // namespace plimsoll::contract
