#pragma once

#include "plimsoll/contract/contract.hpp"

#include <exception>
#include <string>

namespace plimsoll::server {

/// What is wrong with an operation, at the place where the contract has it.
contract::Complaint complaint(const contract::Contract& contract, const contract::Operation& operation,
                              std::string code, std::string what, std::string remedy);

/// What is said of an error of the start: at the place that the error names, in the file that holds it (the deployment
/// or a file of the contract); else at the operation.
contract::Complaint complaint_of(const Error& error, const contract::Contract& contract,
                                 const contract::Operation& operation, const std::string& deployment_file);

/// What to do about "Too many open files".
inline constexpr std::string_view kRaiseOpenFiles =
    "Raise the limit of open files (`ulimit -n`; LimitNOFILE= of systemd; nofile of a container).";

/// What is said of an exception that ends a command: a fault of the program, or of a limit of the system.
contract::Complaint complaint_of(const std::exception& error, std::string code);

/// Says where to read about the key and, where there is one, its place, as far as the error says neither.
void point_to_key(Error& error, std::string_view key, const json::Value* at);

/// One cause once: what was found wrong at one place on the way to several operations, policies or listeners.
contract::Complaints told_once(contract::Complaints all);

}  // namespace plimsoll::server
