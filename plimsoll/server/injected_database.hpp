#pragma once

#include "plimsoll/database/database.hpp"

#include <memory>
#include <string_view>

namespace plimsoll::client {
class Faults;
}

namespace plimsoll::server {

/// What `plimsoll faults` calls the database.
inline constexpr std::string_view kDatabaseDependency = "database";

/// A database before which injected faults stand, for a server that was started with `--allow-faults`: `latency` is
/// waited for before each read, unit of work and transaction; `outage` is `database-unavailable`; `reset` is the end of
/// the connection in the COMMIT of a unit of work: what it does is done, and it is `outcome-unknown`. Reads are
/// repeated by themselves then, and notice nothing. Requests, jobs and the probe of readiness all pass here.
std::unique_ptr<database::Database> with_faults(std::unique_ptr<database::Database> behind, client::Faults& faults);

}  // namespace plimsoll::server
