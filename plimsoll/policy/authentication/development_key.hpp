#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/services.hpp"

#include <string>
#include <vector>

namespace plimsoll::policy {

/// What `--dev` has made for a security scheme that nothing else verifies.
struct DevelopmentCredential {
  std::string scheme;   ///< its name in the contract
  std::string header;   ///< to send along: `Authorization: Bearer …`; for a query parameter `?name=…`
  std::string subject;  ///< whom it names
};
/// Credentials of this process, good for its life and 12 hours at most, with every scope and every role of the
/// deployment. Call it when the operations are built; empty when not in development or nothing needed one.
std::vector<DevelopmentCredential> development_credentials(const contract::Contract&, const Services&);

}  // namespace plimsoll::policy
