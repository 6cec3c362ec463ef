#pragma once

#include "plimsoll/telemetry/metrics.hpp"

#include <string_view>
#include <vector>

namespace plimsoll::telemetry {

/// What the process itself uses, under the names that Prometheus' client libraries agreed on
/// (`process_cpu_seconds_total`, `process_open_fds` and so on), its threads, the memory it may use, and
/// `plimsoll_build_info`. Read from /proc and the control group when somebody scrapes; what cannot be read is 0.
[[nodiscard]] std::vector<Observation> observe_process(Registry& registry, std::string_view version);

}  // namespace plimsoll::telemetry
