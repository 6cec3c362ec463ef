#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/http/message.hpp"

#include <string>

namespace plimsoll::handler::mocking {

/// Whether the credentials of one alternative of the operation's security are there and well-formed; nobody vouches for
/// them. Otherwise the challenge to send (`WWW-Authenticate`), never empty.
struct CredentialCheck {
  bool present = true;
  std::string challenge;
};
CredentialCheck check_credentials(const contract::Operation&, const Request&);

}  // namespace plimsoll::handler::mocking
