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
/// waited for before each read, unit of work and transaction; `outage` is `database-unavailable`; `reset` is that for
/// reads and transactions, and the end of the connection in a COMMIT for units of work: what they do is done, and they
/// are `outcome-unknown`. Requests, jobs and the probe of readiness all pass here.
std::unique_ptr<database::Database> with_faults(std::unique_ptr<database::Database> behind, client::Faults& faults);

}  // namespace plimsoll::server
