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

/// A caller that a test makes up.
struct DevelopmentCaller {
  std::string subject;
  std::string tenant{};
  std::vector<std::string> roles{}, scopes{};
};
/// A header that names the caller, signed by the key of `--dev` for the first scheme of the contract that takes tokens
/// and has one: `Authorization: Bearer …`. Such a caller may do what those roles and scopes allow.
Result<std::string> development_header(const contract::Contract&, const Services&, const DevelopmentCaller&);

}  // namespace plimsoll::policy
