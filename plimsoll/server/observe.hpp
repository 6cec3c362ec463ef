#pragma once

#include "plimsoll/exchange/services.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <vector>

namespace plimsoll::server {

/// What is read from the process, the database and the log whenever somebody scrapes. The services outlive the
/// observations.
[[nodiscard]] std::vector<telemetry::Observation> observe(const Services& services);

}  // namespace plimsoll::server
