#pragma once

#include "plimsoll/exchange/policy.hpp"

#include <memory>

namespace plimsoll::server {

inline constexpr Problem kFaultsNotAllowed{
    "faults-not-allowed", 403, "This server injects no faults",
    "Start it with `--allow-faults`, in a staging environment: every client of the management listener can then make "
    "its dependencies fail."};
inline constexpr Problem kBadFault{
    "invalid-fault", 400, "Invalid fault",
    "Send `POST /faults?dependency=NAME&for=5m` with one of `latency=2s`, `status=503`, `reset` and `outage`, and if "
    "wanted `share=10%25`."};

/// `/faults` of the management listener: GET lists the faults that are in force, POST adds one, DELETE ends those of a
/// dependency or all (client/faults.hpp).
std::unique_ptr<Handler> faults_page();

}  // namespace plimsoll::server
