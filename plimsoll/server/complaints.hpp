#pragma once

#include "plimsoll/contract/contract.hpp"

#include <string>

namespace plimsoll::server {

/// What is said of an error of the start: at the place that the error names, in the file that holds it (the deployment
/// or a file of the contract); else at the operation.
contract::Complaint complaint_of(const Error& error, const contract::Contract& contract,
                                 const contract::Operation& operation, const std::string& deployment_file);

/// One cause once: what was found wrong at one place on the way to several operations, policies or listeners.
contract::Complaints told_once(contract::Complaints all);

}  // namespace plimsoll::server
