#pragma once

#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/policy.hpp"

#include <memory>

namespace plimsoll::handler {

/// `handler` with answers from which the members that the contract marks `writeOnly` are taken out, at every depth:
/// JSON bodies that are there whole. The handler itself where the operation's responses have none. Error: where only
/// the data of an answer could decide.
Result<std::unique_ptr<Handler>> hide_write_only(std::unique_ptr<Handler> handler, const Build& build);

}  // namespace plimsoll::handler
