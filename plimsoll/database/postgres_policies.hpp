#pragma once

#include "plimsoll/database/engine.hpp"

#include <string>
#include <string_view>
#include <vector>

/// Row-level security: policies of PostgreSQL that say what `owner` and `tenant` of a table say. The conditions in our
/// statements stay; the policies hold where one of them were missing.
namespace plimsoll::database {

/// Tells the transaction who the caller is. Its parameters: tenant, subject, roles (one to a line), and `on` where the
/// server itself works. They end with the transaction, so that no connection of a pool or of PgBouncer keeps them.
inline constexpr std::string_view kSetCaller =
    "SELECT set_config('plimsoll.tenant',$1,true),set_config('plimsoll.subject',$2,true),"
    "set_config('plimsoll.roles',$3,true),set_config('plimsoll.server',$4,true)";
std::vector<std::string> caller_settings(const Reading& reading);

/// The policy's name on every table.
inline constexpr std::string_view kPolicy = "plimsoll_caller";

/// The statements that guard it, each on a line of its own. They can be repeated.
std::string policy_statements(const GuardedTable& table);

}  // namespace plimsoll::database
