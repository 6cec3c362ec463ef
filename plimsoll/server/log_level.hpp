#pragma once

#include "plimsoll/exchange/policy.hpp"

#include <memory>

namespace plimsoll::server {

inline constexpr Problem kBadLogLevel{
    "invalid-log-level", 400, "Invalid log level",
    "Send `PUT /log?level=debug&for=10m`; levels are debug, info, warning, error and off, and `for` is optional."};

/// `/log` of the management listener: GET says the level, `PUT ?level=NAME[&for=DURATION]` changes it, for a while or
/// until the next start.
std::unique_ptr<Handler> log_level_page();

}  // namespace plimsoll::server
