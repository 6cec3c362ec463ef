#pragma once

#include "plimsoll/exchange/part.hpp"
#include "plimsoll/queue/queue.hpp"

#include <string_view>

namespace plimsoll {

/// The kind of job that the deployment declares by that name. An error, at `place`, where it declares none, with the
/// name of one that is near.
Result<const queue::Kind*> declared_job(const Build& build, std::string_view kind, const json::Value& place);

}  // namespace plimsoll
