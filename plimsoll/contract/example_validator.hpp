#pragma once

#include "plimsoll/contract/contract.hpp"

namespace plimsoll::contract {

/// What an example of an answer, and data made up for one, must satisfy: the schema with its known formats asserted.
/// Answers themselves are held to it without them, because a server may know better than a document what its URIs are;
/// an example is what callers copy.
Result<std::shared_ptr<const schema::Validator>> example_validator(const Contract&, const json::Value& schema);

}  // namespace plimsoll::contract
