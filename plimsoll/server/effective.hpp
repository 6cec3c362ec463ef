#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/server/instance.hpp"

#include <memory>
#include <string>

namespace plimsoll::server {

/// How the operations of a contract are answered, as far as their documents do not say it.
struct Answering {
  bool mock_all = false, mock_unbound = false;  ///< as in Settings
  const Handlers* handlers = nullptr;           ///< of the program, by operationId; null: none
  Problems problems{};                          ///< what they tell
};

/// The effective contract: what the document says, with all that the parts of the server demand and return.
/// `extensions`: with `x-plimsoll`, for operators. Takes time in proportion to the contract.
std::string effective_contract(const contract::Contract& contract, const Answering& answering, bool extensions);

/// Answers with it. It is written when it is asked for first, on a thread of its own, and compressed once.
std::unique_ptr<Handler> effective_page(std::shared_ptr<const contract::Contract> contract, Answering answering,
                                        bool extensions);

}  // namespace plimsoll::server
