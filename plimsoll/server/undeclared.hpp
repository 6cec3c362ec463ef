#pragma once

#include "plimsoll/exchange/handling.hpp"

#include <optional>

namespace plimsoll::server {

/// The key `undeclared` of the document's `x-plimsoll`: how what no operation declares is answered.
extern const config::Key kUndeclaredKey;

/// The operation that stands for all paths which no operation has, and how it is answered.
struct Undeclared {
  contract::Operation operation;
  const Handling* handling = nullptr;
  const json::Value* options = nullptr;  ///< of `handling`
};
/// Nothing where the document has no such key. Error: `configuration`.
Result<std::optional<Undeclared>> undeclared_of(const contract::Contract& contract);

/// Hands on to `handler` what no operation of the contract can be meant by: another spelling of a declared path is
/// refused as `not_found` says, because a server behind might take it for the declared one and nothing that the
/// contract demands has been seen to. TRACE, which would tell a page what its browser sends, is `wrong_method`.
std::unique_ptr<Handler> only_undeclared(const contract::Contract& contract, std::unique_ptr<Handler> handler,
                                         const Problem& not_found, const Problem& wrong_method);

}  // namespace plimsoll::server
