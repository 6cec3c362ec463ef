#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"

#include <memory>
#include <string>

namespace plimsoll::handler::mocking {

/// Whether the credentials of one alternative of the operation's security are there and well-formed; nobody vouches for
/// them. Otherwise the challenge to send (`WWW-Authenticate`), never empty.
struct CredentialCheck {
  bool present = true;
  std::string challenge;
};
CredentialCheck check_credentials(const contract::Operation&, const Request&);

/// The same as a refusal, `unauthenticated` as in `serve`, with its challenge. Where somebody has vouched there is
/// nothing to look at.
Result<> require_credentials(const contract::Operation&, const Request&, Context&);
/// `inner`, asked only by those whose credentials are there and well-formed.
std::unique_ptr<Handler> with_credentials(const contract::Operation&, std::unique_ptr<Handler> inner);

}  // namespace plimsoll::handler::mocking
